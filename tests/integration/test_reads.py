"""Reads have a bound for each reader, over HTTP and WebSockets together (sec "1 MiB pages of history")."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tools.fleet import JWT_KEY, token
from tests.tools.serving import BEARER, Server, serve, wait_until
from tests.tools.sockets import JSONSocket

PAGE = "/api/v1/channels/open.big/history?limit=1000"
RATE = 1 << 20


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker, a channel with a page of 1 MiB, and 1 MiB a second for each reader: four pages at once."""
    folder: Path = tmp_path_factory.mktemp("reads")
    settings = {
        "jwt_key": JWT_KEY,
        "anonymous_channels": "open.*",
        "read_rate": RATE,
        "websocket_rate": 0,
    }
    with serve(folder, **settings) as server:
        for _ in range(20):
            server.publish("open.big", "x" * 60_000)
        yield server


def reader(name: str) -> dict[str, str]:
    return token(name, subscribe=["open.*", "presence:open.*", "listener:*", "chat.*"])


def read(server: Server, headers: dict[str, str], path: str = PAGE) -> int:
    return server.request("GET", path, headers=headers)[0]


def test_one_reader_has_a_share_and_others_theirs(one: Server) -> None:
    greedy = reader("greedy")
    answers = [read(one, greedy) for _ in range(12)]
    assert answers[:4] == [200] * 4
    assert answers[-1] == 429
    for path in (
        PAGE,
        "/api/v1/channels/open.big/presence",
        "/api/v1/listeners",
        "/api/v1/chat/lobby/users",
    ):
        status, headers, body = one.request("GET", path, headers=reader("greedy"))
        assert (status, json.loads(body)["error"]["code"]) == (429, "read_rate"), "another token of the same user"
        assert 1 <= int(headers["retry-after"]) <= 5
    assert read(one, reader("other")) == read(one, BEARER) == read(one, {}) == 200
    assert [read(one, BEARER) for _ in range(12)] == [200] * 12, "the publish key is trusted"
    wait_until(lambda: read(one, greedy) == 200, 10, "its share to be there again")


def test_one_websocket_does_not_read_without_end(one: Server) -> None:
    ask: dict[str, Any] = {"type": "history", "channel": "open.big", "limit": 1000}
    with JSONSocket(one, "/ws", reader("ann")) as ann, JSONSocket(one, "/ws", reader("ann")) as again:
        answers = [ann.ask(ask, id) for id in range(12)]
        assert [answer["type"] for answer in answers[:4]] == ["reply"] * 4
        assert (answers[-1]["code"], answers[-1]["type"]) == ("read_rate", "error")
        assert 1 <= answers[-1]["retry_after_seconds"] <= 5
        assert again.ask(ask)["code"] == "read_rate", "another connection of the same user"
        assert again.ask({"type": "presence", "channel": "open.big"})["code"] == "read_rate"
        assert ann.ask({"type": "ping"})["type"] == "reply", "the connection stays"
        wait_until(lambda: ann.ask(ask)["type"] == "reply", 10, "its share to be there again")
    with JSONSocket(one, "/ws", {}) as nobody:
        assert [nobody.ask(ask, id)["type"] for id in range(12)][-1] == "error", "without a token it is the address"
    with JSONSocket(one, "/ws/wukong/host", token("ann", subscribe=["wukong:*"])) as console:
        while console.ask({"type": "history"})["type"] != "error":
            assert read(one, reader("ann")) in (200, 429)
