"""Bodies that come slowly, or never, or in pieces that can't be read: they hold little, for a short time, and no right outlives them."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import time
from typing import Any, Self

import pytest

from app.identity.tokens import mint
from tests.tools.fixtures import fleet_fixture, server_fixture
from tests.tools.fleet import JWT_KEY, call, token
from tests.tools.flood import flooding, others_are_served
from tests.tools.serving import BEARER, Server, wait_until

PLACES = 100
WRITES = [
    ("POST", "/events", {"channel": "a", "data": 1}),
    ("POST", "/broadcast", {"data": 1}),
    ("POST", "/users/bob/events", {"data": 1}),
    ("POST", "/listeners/0123456789abcdef/events", {"data": 1}),
    ("PUT", "/wukongs/m/status", {"cpu_percent": 1}),
    ("POST", "/wukongs/host/commands", {"command": "ping"}),
    ("POST", "/chat/a/message", {"message": "hello"}),
    ("POST", "/chat/a/typing", {}),
    ("POST", "/process", {"kind": "checksum", "options": {"bytes": 1}}),
    ("POST", "/tickets", {}),
]
ALL_RIGHTS = {
    "subscribe": ["*"],
    "publish": ["*", "all", "user:*", "listener:*", "wukong-agent.*", "wukong:*", "chat.*", "chatroom:*"],
}


server = server_fixture(app="tests.apps.hub_views:app", WORKER_CONNECTIONS=PLACES, max_listeners=50, jwt_key=JWT_KEY)


class Sender:
    """A request whose body is sent piece by piece."""

    def __init__(
        self, server: Server, method: str, path: str, headers: dict[str, Any], *, begin: str = "/api/v1"
    ) -> None:
        self.socket = socket.create_connection((server.host, server.port), timeout=30)
        lines = [
            f"{method} {begin}{path} HTTP/1.1",
            "Host: x",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        self.send("\r\n".join([*lines, "", ""]).encode())

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> tuple[int, Any]:
        """Status and JSON."""
        with self.socket.makefile("rb") as file:
            status = int(file.readline().split()[1])
            length = 0
            while (line := file.readline()).strip():
                name, _, value = line.decode().partition(":")
                length = int(value) if name.lower() == "content-length" else length
            return status, json.loads(file.read(length) or b"null")

    def is_closed_within(self, seconds: float) -> bool:
        self.socket.settimeout(seconds)
        try:
            return not self.socket.recv(1)
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.mark.parametrize("headers", [{}, token("bob", publish=["a"])], ids=["nobody", "bob"])
@pytest.mark.parametrize(
    "framing", [{"Content-Length": 10}, {"Transfer-Encoding": "chunked"}], ids=["length", "chunked"]
)
@pytest.mark.parametrize("path", ["/tickets", "/events"])
def test_a_worker_whose_places_slow_bodies_want_still_answers(
    server: Server, path: str, framing: dict[str, Any], headers: dict[str, str]
) -> None:
    """security F1."""
    with contextlib.ExitStack() as senders:
        for _ in range(PLACES):
            senders.callback(Sender(server, "POST", path, {**headers, **framing}).close)
        began = time.monotonic()
        assert server.request("GET", "/healthz")[0] == 200
        assert time.monotonic() - began < 5 * 1.0


def test_a_body_that_does_not_come_is_given_up(server: Server) -> None:
    with Sender(server, "POST", "/events", {**BEARER, "Content-Length": 10}) as sender:
        status, body = sender.answer()
        assert (status, body["error"]["code"]) == (408, "body_timeout")
        assert sender.is_closed_within(5)


def test_a_body_that_keeps_coming_has_its_time(server: Server) -> None:
    """Eight seconds in all, where a body of which nothing comes has five."""
    body = json.dumps({"channel": "a", "data": "x" * 60_000}).encode() + b" " * 400_000
    with Sender(server, "POST", "/events", {**BEARER, "Content-Length": len(body)}) as sender:
        step = len(body) // 16
        for start in range(0, len(body), step):
            sender.send(body[start : start + step])
            time.sleep(0.5)  # the pace of a slow line
        assert sender.answer()[0] == 201


def test_more_bodies_than_a_worker_holds_are_refused_and_the_others_are_taken(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        senders = [Sender(server, "POST", "/events", {**BEARER, "Content-Length": 28}) for _ in range(80)]
        for sender in senders:
            stack.callback(sender.close)
        refused = [sender for sender in senders[64:] if sender.answer()[0] == 503]
        assert len(refused) == 16
        assert all(sender.is_closed_within(5) for sender in refused)
        for sender in senders[:64]:
            sender.send(b'{"channel": "a", "data": 12}')
        assert {sender.answer()[0] for sender in senders[:64]} == {201}


def test_one_sender_has_a_share_of_the_bodies_and_others_have_the_rest(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        mine = {**token("greedy", publish=["a"]), "Content-Length": 28}
        senders = [stack.enter_context(Sender(server, "POST", "/events", mine)) for _ in range(70)]
        refused = [sender.answer() for sender in senders[16:]]
        assert {(status, body["error"]["code"]) for status, body in refused} == {(429, "too_many_bodies")}
        with Sender(server, "POST", "/events", {**token("modest", publish=["a"]), "Content-Length": 28}) as other:
            wait_until(lambda: reading(server) == 17, 5, "the other's to be waited for")
            other.send(b'{"channel": "a", "data": 12}')
            assert other.answer()[0] == 201
        for sender in senders[:16]:
            sender.send(b'{"channel": "a", "data": 12}')
        assert {sender.answer()[0] for sender in senders[:16]} == {201}
    assert reading(server) == 0


def test_one_sender_has_a_share_of_the_bytes(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        mine = {**token("large", publish=["a"]), "Content-Length": (4 << 20)}
        senders = [stack.enter_context(Sender(server, "POST", "/events", mine)) for _ in range(5)]
        for sender in senders[:4]:
            sender.send(b" " * ((4 << 20) - 1))
        wait_until(lambda: reading(server) == 5, 5, "all to be waited for")
        senders[4].send(b" " * (1 << 20))
        status, body = senders[4].answer()
        assert (status, body["error"]["code"]) == (429, "too_many_bodies")
    small = {**token("large", publish=["a"])}

    def is_taken() -> bool:
        return server.request("POST", "/api/v1/tickets", {}, small)[0] == 201

    wait_until(is_taken, 5, "their bytes to be let go")


def test_a_large_body_that_is_refused_holds_no_connection_and_no_memory(server: Server) -> None:
    with Sender(server, "POST", "/tickets", {"Content-Length": 4 << 20}) as sender:
        with contextlib.suppress(OSError):
            sender.send(b"x" * (1 << 20))
        assert sender.is_closed_within(5) or sender.answer()[0] == 401


def test_a_small_body_that_is_refused_leaves_the_connection_open(server: Server) -> None:
    with Sender(server, "POST", "/tickets", {"Content-Length": 2}) as sender:
        sender.send(b"{}")
        assert sender.answer()[0] == 401
        sender.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sender.answer()[0] == 200


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"-1\r\n", b"5\r\nabcdeXX", b"1;" + b"x" * 20_000])
@pytest.mark.parametrize(("method", "path", "_"), WRITES, ids=[path for _, path, _ in WRITES])
def test_a_bad_chunk_is_the_client_s_fault_on_every_route(
    server: Server, method: str, path: str, _: Any, chunks: bytes
) -> None:
    """security F7: it was a 500 with a traceback."""
    with Sender(server, method, path, {**token("bob", **ALL_RIGHTS), "Transfer-Encoding": "chunked"}) as sender:
        sender.send(chunks)
        status, body = sender.answer()
        assert (status, body["error"]["code"]) == (400, "bad_body"), body
        assert "Traceback" not in server.log


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/api/v1/events", {}),
        ("POST", "/api/v1/events", token("bob", publish=["a"])),
        ("GET", "/static/home.js", {}),  # nothing reads a body here
    ],
)
def test_a_client_that_makes_a_chunk_of_each_byte_holds_up_no_other(
    server: Server, method: str, path: str, headers: dict[str, str]
) -> None:
    """The worker read on for as long as bytes were there, and answered nothing else meanwhile."""
    framing = {"Transfer-Encoding": "chunked"}
    with (
        Sender(server, method, path, {**headers, **framing}, begin="") as sender,
        flooding(sender.socket, b"1\r\nx\r\n" * 10_000),
    ):
        assert others_are_served(lambda: server.request("GET", "/healthz")[0])


# Time of check, time of use


workers = fleet_fixture(on=("sqlite", "redis"), chat_rate=0)


@pytest.mark.parametrize(("method", "path", "body"), WRITES, ids=[path for _, path, _ in WRITES])
def test_a_token_that_is_revoked_while_the_body_comes_writes_nothing(
    workers: Any, method: str, path: str, body: Any
) -> None:
    """security F2: revoked at one worker, after the other had let the request in."""
    user = f"u{abs(hash((method, path, time.monotonic())))}"
    with begun(workers.one, method, path, body, token(user, **ALL_RIGHTS)) as sender:
        call(workers.two, "DELETE", f"/users/{user}/grants", status=204)
        sender.finish()
        status, answer = sender.answer()
        assert (status, answer["error"]["code"]) == (401, "token_revoked")


def test_a_token_that_ends_while_the_body_comes_writes_nothing(workers: Any) -> None:
    """All at once, so that they wait for the end of one token."""
    short = {"Authorization": "Bearer " + mint(JWT_KEY, seconds=3, user="short", **ALL_RIGHTS)}
    ends = time.time() + 3
    with contextlib.ExitStack() as stack:
        senders = [
            stack.enter_context(begun(workers.one, method, path, body, short, waiting=number))
            for number, (method, path, body) in enumerate(WRITES, start=1)
        ]
        wait_until(lambda: time.time() > ends, 5)
        for sender, (method, path, _) in zip(senders, WRITES, strict=True):
            sender.finish()
            status, answer = sender.answer()
            assert (status, answer["error"]["code"]) == (401, "token_expired"), (method, path)


class Begun(Sender):
    rest = b""

    def finish(self) -> None:
        self.send(self.rest)


def begun(server: Server, method: str, path: str, body: Any, headers: dict[str, str], *, waiting: int = 1) -> Begun:
    """Begin a request that passes the checks: a byte of its body is sent, and the worker waits for the rest of this number of bodies."""
    text = json.dumps(body).encode() + b" "
    sender = Begun(server, method, path, {**headers, "Content-Length": len(text)})
    sender.rest = text[1:]
    sender.send(text[:1])
    wait_until(lambda: reading(server) >= waiting, 5, "the body to be waited for")
    return sender


def reading(server: Server) -> int:
    return int(server.get_json("/bodies"))


@pytest.mark.parametrize(("method", "path", "_"), WRITES, ids=[path for _, path, _ in WRITES])
def test_a_compressed_body_is_refused_by_name_on_every_route(server: Server, method: str, path: str, _: Any) -> None:
    """bug F14: it was a 400 that spoke of a byte."""
    headers = {**token("bob", **ALL_RIGHTS), "Content-Encoding": "gzip"}
    status, _headers, body = server.request(method, f"/api/v1{path}", gzip.compress(b"{}"), headers)
    assert (status, json.loads(body)["error"]["code"]) == (415, "content_encoding")
    assert b"gzip" in body
