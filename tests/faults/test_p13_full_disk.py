"""P13: a disk, or the memory of Redis, that fills up: publishing is refused, nothing that was acknowledged is lost by it, and
all goes on by itself when there is room."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults import report
from tests.faults.checker import History, judge
from tests.faults.generator import Listeners, Publisher
from tests.tools.clients import SSEClient
from tests.tools.serving import BEARER, serve, wait_until
from tests.tools.tiers import Store, on

DISK = "size=12m"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", DISK, "tmpfs", folder], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a file system can't be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_p13_a_full_disk_refuses_makes_room_and_goes_on(small_disk: Path, tmp_path: Path) -> None:
    log = small_disk / "log.db"
    with serve(tmp_path, broker_url=f"sqlite:///{log}", history_events=1_000_000) as server:
        batch = [{"channel": "a", "data": "x" * 1000}] * 50
        statuses = []
        deadline = time.monotonic() + 60
        while not goes_on_after_refusal(statuses):
            assert time.monotonic() < deadline, f"refused for good: {statuses[-20:]}"
            status, _, body = server.request("POST", "/api/v1/events", batch, BEARER)
            statuses.append(status)
            if status == 201:
                positions = json.loads(body)["positions"]
            else:
                assert (status, b'"broker_unavailable"' in body) == (503, True), body
                time.sleep(0.05)
        assert server.get_json("/healthz")["status"] == "ok"
        with SSEClient(server.port, "/api/v1/stream?channel=a", last_event_id=positions[0]) as client:
            assert [block.id for block in client.take(49, "message")] == positions[1:]
    with closing(sqlite3.connect(log)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def goes_on_after_refusal(statuses: list[int]) -> bool:
    """Publish 10 MB, more than fits without dropping old events: accepted, refused, then accepted again."""
    if 503 not in statuses:
        return False
    return statuses[statuses.index(503) :].count(201) >= 200


@on("redis")
def test_p13_a_redis_that_is_full_refuses_and_goes_on_when_there_is_room(store: Store) -> None:
    assert store.redis is not None
    history, began = History(), time.monotonic()
    with store.serve(history_events=100_000) as server, Listeners(history, server.port, [("flow",)] * 3) as listeners:
        used = int(store.redis.command("INFO", "memory").partition(b"used_memory:")[2].partition(b"\r\n")[0])
        assert store.redis.command("CONFIG", "SET", "maxmemory", str(used + (2 << 20))) == b"+OK\r\n"
        publisher = Publisher(history, [server.port], rate=2000, batch=10, is_keyed=False, size=1000)
        publisher.start()
        wait_until(lambda: len(publisher.refusals) >= 20, 30, "publishing to be refused")
        assert server.get_json("/readyz")["status"] == "ok"
        with SSEClient(server.port, "/api/v1/stream?channel=flow", last_event_id=history.chains[0].start) as client:
            assert len(client.take(100, "message")) == 100, "what is there can be read"
        assert store.redis.command("CONFIG", "SET", "maxmemory", "0") == b"+OK\r\n"
        had = len(history.chains[0].numbers)
        wait_until(lambda: len(history.chains[0].numbers) > had + 100, 10, "publishing to go on")
        publisher.stop()
        listeners.finish()
    verdict = judge(history)
    done = f"{len(publisher.refusals)} requests refused"
    report.note("P13: Redis full", store.tier, history, verdict, done=done, seconds=time.monotonic() - began)
    assert not verdict.faults, verdict
    assert {refusal.code for refusal in publisher.refusals} == {"broker_unavailable"}, "certainly not stored"
