"""Sources of usage: one worker polls them, what is new is stored and streamed once, and a bad one harms nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.tools.clients import SSEClient
from tests.tools.serving import Server, serve, wait_until
from tests.tools.sources import Sources, serve_sources

BAD = {
    "html": "not JSON",
    "broken": "HTTP Error 500",
    "odd": "HTTP Error 500: a?b",
    "nothing": "no whole answer within 3 s",
    "endless": "more than 4 MiB",
    "wrong": "not a list of records",
    "missing": "refused",
}


@pytest.fixture(scope="module")
def sources() -> Iterator[Sources]:
    with serve_sources() as running:
        yield running


@pytest.fixture(scope="module")
def server(sources: Sources, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    urls = {name: sources.url(name) for name in BAD} | {"missing": "http://127.0.0.1:1/", "list": sources.url("list")}
    settings = {
        "workers": 2,
        "usage_sources": ", ".join(f"{name} 1 {url}" for name, url in urls.items()),
        "heartbeat_seconds": 1,
        "constants": {"app.features.usage.fetch.SECONDS": 3, "app.features.usage.scheduler._MOST_WAIT_SECONDS": 1},
    }
    with serve(tmp_path_factory.mktemp("sources"), **settings) as running:
        yield running


def record(number: int, **fields: Any) -> dict[str, Any]:
    created_at = (datetime.now(UTC) - timedelta(minutes=30 - number)).isoformat()
    return {"creditsUsed": number, "model": "polled", "createdAt": created_at, **fields}


def state(server: Server, name: str) -> dict[str, Any]:
    found = {one["name"]: one for one in server.get_json("/api/v1/usage/sources")["sources"]}
    assert set(found) == {*BAD, "list"}
    return found[name]


def polled_again(server: Server, name: str, times: int = 2) -> dict[str, Any]:
    """The state of a source after some more polls."""
    before = state(server, name)["polls"]
    wait_until(lambda: state(server, name)["polls"] >= before + times, 30, f"{name} to be polled")
    return state(server, name)


def test_what_is_new_is_streamed_and_what_stays_the_same_is_not(server: Server, sources: Sources) -> None:
    with SSEClient(server.port, "/api/v1/usage/stream") as client:
        client.until("connected")
        twin = record(2)
        sources.records = [record(1), twin, twin, record(3, id="three", other="field")]
        assert [one["creditsUsed"] for one in client.until("usage").json] == [1, 2, 2, 3]
        changed_at = polled_again(server, "list")["changedAt"]
        assert client.until("heartbeat")
        sources.records = [*sources.records[1:], record(4), record(5, createdAt="2001-01-01T00:00:00Z")]
        assert [one["creditsUsed"] for one in client.until("usage").json] == [4]
        assert polled_again(server, "list")["changedAt"] > changed_at
        sources.records = []
        assert polled_again(server, "list")["error"] is None
    kept = server.get_json("/api/v1/usage?model=polled")["usage"]
    assert sorted(one["creditsUsed"] for one in kept) == [1, 2, 2, 3, 4], "a list that is empty takes nothing away"
    assert len(set(sources.polls)) == 1, "one worker polls"
    assert set(sources.polls) <= set(server.workers)


def test_bad_sources_are_logged_once_and_counted_and_the_stream_goes_on(server: Server, sources: Sources) -> None:
    with SSEClient(server.port, "/api/v1/usage/stream") as client:
        client.until("connected")
        for name, error in BAD.items():
            found = polled_again(server, name)
            assert error in found["error"], name
            assert found["failures"] == found["polls"] >= 2
            assert found["changedAt"] is None
            assert server.log.count(f"The source {name} can't be read: ") == 1, name
        sources.records = [record(9)]
        while [one["creditsUsed"] for one in client.until("usage").json] != [9]:
            pass
    assert "Traceback" not in server.log


def test_sources_are_polled_on_after_the_database_was_away(server: Server) -> None:
    """Also one that failed meanwhile, so that its failure could not be noted."""
    with closing(sqlite3.connect(server.folder / "instance" / "service.db")) as connection:
        connection.execute("ALTER TABLE usage_source RENAME TO away")
        wait_until(lambda: all(f"source {name} are not kept" in server.log for name in BAD), 30, "each source to fail")
        connection.execute("ALTER TABLE away RENAME TO usage_source")
    for name in (*BAD, "list"):
        polled_again(server, name)
