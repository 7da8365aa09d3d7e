"""Waits for answers to commands: each commander has a share of a worker's, and a wait ends with its client (sec F9)."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.features.wukongs.waits import MAX_WAITS, MAX_WAITS_EACH
from tests.tools.agents import listener
from tests.tools.fleet import JWT_KEY, call, token
from tests.tools.serving import BEARER, Server, serve, wait_until
from tests.tools.sockets import JSONSocket

PING = {"command": "ping"}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker, and one agent that listens and never answers."""
    folder: Path = tmp_path_factory.mktemp("waits")
    with serve(folder, jwt_key=JWT_KEY, publish_rate=0) as server:
        call(server, "PUT", "/wukongs/silent/status", {})
        with listener(server, "silent"):
            yield server


def wait_of(server: Server, headers: dict[str, str]) -> socket.socket:
    """A request that waits half a minute for an answer."""
    body = json.dumps(PING)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    sock = socket.create_connection(("127.0.0.1", server.port), 10)
    sock.sendall(
        f"POST /api/v1/wukongs/silent/commands?wait=30 HTTP/1.1\r\nHost: localhost\r\n{head}"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    return sock


def answer(server: Server, headers: dict[str, str]) -> tuple[int, str]:
    """Of a commander who asks for one more wait: 504 where there was a place."""
    status, _, body = server.request("POST", "/api/v1/wukongs/silent/commands?wait=0.01", PING, headers)
    return status, json.loads(body)["error"]["code"]


def commander(name: str) -> dict[str, str]:
    return token(name, publish=["wukong-agent.silent"], subscribe=["wukong:silent"])


def fill(server: Server, headers: dict[str, str], stack: ExitStack, many: int) -> list[socket.socket]:
    """Start a number of waits, and more until there is no place for another: a request for it takes a place for a moment, and one
    that comes then is refused."""
    socks = [wait_of(server, headers) for _ in range(many)]
    deadline = time.monotonic() + 20
    while answer(server, headers)[0] == 504:
        assert time.monotonic() < deadline
        socks.append(wait_of(server, headers))
    for sock in socks:
        stack.enter_context(contextlib.closing(sock))
    return socks


def test_one_commander_does_not_take_the_waits_of_all_and_hanging_up_frees_them(one: Server) -> None:
    mallory, ops = commander("mallory"), commander("ops")
    with ExitStack() as stack:
        socks = fill(one, mallory, stack, MAX_WAITS_EACH)
        assert answer(one, mallory) == (429, "too_many_waits")
        assert answer(one, commander("mallory")) == (429, "too_many_waits"), "another token of the same user"
        assert answer(one, ops) == (504, "no_answer")
        assert answer(one, token(publish=["wukong-agent.*"])) == (504, "no_answer")
        for sock in socks:
            sock.close()
        hung_up = time.monotonic()
        wait_until(lambda: answer(one, mallory) == (504, "no_answer"), 5, "a place to be free")
        assert time.monotonic() - hung_up < 0.5, "five times the 100 ms that are promised"


def test_a_worker_has_a_bound_on_all_waits_together_and_each_that_leaves_frees_its_place(one: Server) -> None:
    with ExitStack() as stack:
        socks = fill(one, BEARER, stack, MAX_WAITS)
        for _ in range(3):
            assert answer(one, commander("ops")) == (503, "too_many_waits")
            for sock in socks[: MAX_WAITS // 2]:
                sock.close()
            wait_until(lambda: answer(one, commander("ops")) == (504, "no_answer"), 5, "a place to be free")
            socks = socks[MAX_WAITS // 2 :] + fill(one, BEARER, stack, MAX_WAITS // 2)
    wait_until(lambda: answer(one, commander("ops")) == (504, "no_answer"), 5, "all to be free")
    assert "Traceback" not in one.log


def test_a_console_that_leaves_frees_its_waits(one: Server) -> None:
    ann = commander("ann")
    with ExitStack() as stack:
        consoles = [stack.enter_context(JSONSocket(one, "/ws/wukong/silent", ann)) for _ in range(MAX_WAITS_EACH // 4)]
        for console in consoles:
            for id in range(4):
                console.send({"type": "command", "command": "ping", "wait": 30, "id": id})
        fill(one, ann, stack, 0)
        another = stack.enter_context(JSONSocket(one, "/ws/wukong/silent", ann))
        refusal = another.ask({"type": "command", "command": "ping", "wait": 30})
        assert (refusal["code"], refusal["retry_after_seconds"]) == ("too_many_waits", 1)
        consoles[0].close()
        wait_until(lambda: answer(one, ann) == (504, "no_answer"), 5, "a place to be free")
