"""A process that reads the log's file and does not stop (bug F8): a database browser, a backup that hangs."""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tests.tools.serving import Server, serve, wait_until

MIB = 1 << 20


def figure(server: Server) -> int:
    """Return a figure of the operator's metrics."""
    text = server.request("GET", "/metrics")[2].decode()
    found = re.search(r"^simulcast_write_ahead_bytes (\S+)$", text, re.MULTILINE)
    assert found is not None
    return int(float(found[1]))


def test_a_foreign_reader_is_told_of_and_the_file_shrinks_once_it_has_gone(tmp_path: Path) -> None:
    with serve(tmp_path, workers=2) as server:
        server.publish("a", 1)
        path = tmp_path / "instance" / "simulcast.db"
        wal = Path(f"{path}-wal")
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM events").fetchall()
            while wal.stat().st_size < 48 * MIB:
                server.publish("a", *["x" * 60_000] * 50)
            wait_until(lambda: server.log.count("reading the log") == 1, 30, "a warning")
            assert f"lsof {wal}" in server.log
            wait_until(lambda: figure(server) >= 48 * MIB, 10, "the gauge")
            began = time.monotonic()
            server.publish("a", 2)
            assert time.monotonic() - began < 5, "publishing goes on"
        wait_until(lambda: wal.stat().st_size <= 16 * MIB, 10, "the file to shrink")
        wait_until(lambda: "is small again" in server.log)
        wait_until(lambda: figure(server) <= 16 * MIB, 10, "the gauge")
        server.publish("a", 3)
    assert server.log.count("reading the log") == 1
