"""The dashboard over two workers: one of them samples, counts for both, and only while a client listens."""

from __future__ import annotations

import itertools
import json
import os
import time
from contextlib import ExitStack
from typing import Any

import psutil
import pytest

from tests.tools.clients import SSEClient
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY, call, token
from tests.tools.serving import Server, wait_until

STREAM = "/api/v1/dashboard/stream"

WATCHER = token(subscribe=["dashboard"])

server = server_fixture(
    on=("sqlite", "redis"), workers=2, jwt_key=JWT_KEY, system_status="true", anonymous_channels="news"
)


def watch(server: Server, query: str = "", **options: Any) -> SSEClient:
    return SSEClient(server.port, STREAM + query, headers=WATCHER, **options)


def history(server: Server) -> list[dict[str, object]]:
    return list(call(server, "GET", "/channels/dashboard/history")["events"])


def test_dashboards_get_the_load_every_two_seconds_from_one_worker_and_only_while_they_listen(server: Server) -> None:
    with ExitStack() as stack:
        dashboards = [stack.enter_context(watch(server)) for _ in range(6)]
        anyone = stack.enter_context(SSEClient(server.port, "/api/v1/stream?channel=news"))
        for client in dashboards:
            client.until("connected")
        assert all(server.request("GET", "/api/v1/nothing")[0] == 404 for _ in range(10))
        samples = [block.json for block in dashboards[0].take(4, "metrics")]
        assert all(1000 < b["timestamp"] - a["timestamp"] < 4000 for a, b in itertools.pairwise(samples))
        last = samples[-1]
        assert abs(last["timestamp"] / 1000 - time.time()) < 30
        assert last["cpu"]["cores"] == os.cpu_count()
        assert all(0 <= one["cpu"]["usage"] <= 100 for one in samples)
        assert last["cpu"]["threads"] == sum(psutil.Process(pid).num_threads() for pid in server.workers)
        assert sum(last["memory"].values()) == psutil.virtual_memory().total
        assert last["requests"]["failed"] == 10, "of both workers"
        assert last["requests"]["success"] == last["requests"]["total"] - 10 > 0
        assert last["listeners"] == 7
        assert 0 < last["events_per_second"] < 5
        assert [block.json for block in dashboards[1].take(4, "metrics")] == samples
        status = anyone.until("system-status").json
        assert status.keys() == {"host", "cpu", "memory", "time"}
        assert status["host"] == last["host"]
        with watch(server, "?history=3") as late:
            replayed = [block.position for block in late.take(3, "metrics")]
        known = [event["id"] for event in history(server)]
        at = known.index(replayed[0])
        assert known[at : at + 3] == replayed, "the oldest first"
        assert at >= len(known) - 4, "the last ones, and perhaps one that came meanwhile"
        with watch(server, "?history=9", last_event_id=str(known[0])) as resumed:
            assert resumed.until("metrics").position == known[1]
    count = still(server)
    assert 4 <= count < 12, "the lease is one worker's"


def still(server: Server) -> int:
    """The number of samples, once it stays the same for longer than a period."""
    seen, since = len(history(server)), time.monotonic()

    def is_still() -> bool:
        nonlocal seen, since
        if (now := len(history(server))) != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > 2.5

    wait_until(is_still, 10, "the sampler to stop")
    return seen


@pytest.mark.parametrize("query", ["history=-1", "history=1001", "history=many", "history="])
def test_a_wrong_number_of_samples_is_refused(server: Server, query: str) -> None:
    status, _, body = server.request("GET", f"{STREAM}?{query}", headers=WATCHER)
    assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_query")


def test_a_dashboard_needs_the_right_to_listen(server: Server) -> None:
    assert server.request("GET", STREAM)[0] == 401
    assert server.request("GET", STREAM, headers=token("ann", subscribe=["other"]))[0] == 403
