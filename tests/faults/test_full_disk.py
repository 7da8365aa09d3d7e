"""A disk that fills up: publishing is refused before it is full, the log makes room, and goes on by itself."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.clients import SSEClient
from tests.serving import BEARER, serve

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


def test_a_full_disk_refuses_makes_room_and_goes_on(small_disk: Path, tmp_path: Path) -> None:
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
    """Accepted, refused, and then accepted again: 10 MB, more than there is without dropping what was there."""
    if 503 not in statuses:
        return False
    return statuses[statuses.index(503) :].count(201) >= 200
