"""The file of the log: its mode, files that are refused, and a file that was replaced."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.flask_simulcast.brokers.sqlite.broker import SQLiteBroker
from app.flask_simulcast.brokers.sqlite.schema import SCHEMA_VERSION
from app.flask_simulcast.errors import BrokerUnavailableError
from app.flask_simulcast.event import Position
from app.flask_simulcast.testing import FakeClock
from tests.contract import processes
from tests.contract.logs import draft, read_all, shell

Open = Callable[..., SQLiteBroker]


# The file


def test_the_log_is_for_its_user_alone(path: Path, open_broker: Open) -> None:
    before = os.umask(0)
    try:
        broker = open_broker()
        broker.append([draft()])
        broker.wait(0)
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert set(modes) == {"simulcast.db" + end for end in ("", "-wal", "-shm", ".lock", ".bells")}
    assert modes.pop("simulcast.db.bells") == 0o700
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_long_path_works(tmp_path: Path, open_broker: Open) -> None:
    file = tmp_path / ("a" * 100) / ("b" * 100) / "simulcast.db"
    one, other = open_broker(file), open_broker(file)
    one.wait(0)
    other.append([draft()])
    began = time.monotonic()
    one.wait(20)
    assert time.monotonic() - began < 10
    assert one.head() == other.head()


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, 99])
def test_a_schema_of_another_version_is_refused(path: Path, open_broker: Open, version: int) -> None:
    open_broker().close()
    with closing(shell(path)) as db:
        db.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(
        BrokerUnavailableError, match=rf"schema {version}, expected {SCHEMA_VERSION}\).*Move the file away"
    ):
        open_broker()


def test_a_file_that_is_no_log_is_refused_and_left_alone(path: Path, open_broker: Open) -> None:
    path.parent.mkdir()
    path.write_text("Not a database. " * 100)
    with pytest.raises(BrokerUnavailableError, match="can't be opened"):
        open_broker()
    assert path.read_text() == "Not a database. " * 100
    path.unlink()
    with closing(shell(path)) as db:
        db.execute("CREATE TABLE theirs (x)")
    with pytest.raises(BrokerUnavailableError, match="not a log"):
        open_broker()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, open_broker: Open) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BrokerUnavailableError, match="SIMULCAST_BROKER_URL"):
        open_broker(tmp_path / "file" / "simulcast.db")


def test_a_second_log_of_this_process_leaves_the_locks_of_the_first(path: Path, open_broker: Open) -> None:
    """The kernel drops all of a process's locks on a file when the process closes any descriptor of it. Then another process that
    ends is the last one for SQLite, and deletes the write-ahead log."""
    broker = open_broker()
    head = broker.head()
    broker.append([draft(0)])
    open_broker()
    others = [processes.start("open", path)]
    processes.go(others)
    processes.finish(others)
    broker.append([draft(2)])
    assert [event.data for event in read_all(broker, head)] == ['"0"', "1", '"2"']


def test_closing_twice_over_and_opening_again_keeps_the_log(path: Path, open_broker: Open) -> None:
    first = open_broker()
    positions = first.append([draft(n) for n in range(5)])
    first.close()
    again = open_broker()
    assert again.head() == positions[-1]
    assert again.verdict(positions[0], ("c",)).reason is None
    assert [event.position for event in read_all(again, Position(positions[0].key - 1, 0))] == positions


def backup(path: Path, copy: Path) -> None:
    with closing(shell(path)) as db, closing(sqlite3.connect(copy)) as into:
        db.backup(into)


def restore(copy: Path, path: Path) -> None:
    """Restore a copy as an operator does: replace the file, and remove the files that belong to the old one."""
    shutil.copy(copy, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)
    for end in ("-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)


# A file that was swapped


@pytest.mark.parametrize("is_late", [False, True], ids=["early", "late"])
def test_a_restored_copy_tells_who_has_what_it_never_had(
    path: Path, clock: FakeClock, open_broker: Open, is_late: bool
) -> None:
    broker = open_broker()
    shared = broker.append([draft(n) for n in range(3)])
    backup(path, path.with_suffix(".copy"))
    clock.advance(1)
    lost = broker.append([draft(n) for n in range(3, 6)])
    generation = broker.generation
    restore(path.with_suffix(".copy"), path)
    broker.maintain()
    assert broker.generation != generation
    assert broker.head() == shared[-1]
    if is_late:
        clock.advance(1)
        broker.append([draft(n) for n in range(9)])
    expected = "forked" if is_late else "lost"
    for position in lost:
        verdict = broker.verdict(position, ("c",))
        assert verdict.reason == expected
        assert verdict.resume_at == (position if is_late else shared[-1])
    for position in shared:
        assert broker.verdict(position, ("c",)).reason is None


def test_a_restored_copy_tells_its_own_numbers_from_the_old_ones(
    path: Path, clock: FakeClock, open_broker: Open
) -> None:
    broker = open_broker()
    broker.append([draft()])
    backup(path, path.with_suffix(".copy"))
    lost = broker.append([draft(n) for n in range(5)])
    restore(path.with_suffix(".copy"), path)
    broker.maintain()
    new = broker.append([draft(n) for n in range(5)])  # the clock stands still: the same numbers again
    assert [p.key for p in new] == [p.key for p in lost]
    assert {broker.verdict(position, ("c",)).reason for position in lost} == {"forked"}
    assert {broker.verdict(position, ("c",)).reason for position in new} == {None}


def test_a_wiped_file_is_noticed(path: Path, clock: FakeClock, open_broker: Open) -> None:
    broker = open_broker()
    old = broker.append([draft()])[0]
    generation = broker.generation
    for file in list(path.parent.iterdir()):
        if file.is_file():
            file.unlink()
    clock.advance(1)
    broker.maintain()
    assert broker.generation != generation
    assert read_all(broker, broker.head()) == []
    assert broker.verdict(old, ("c",)).reason == "lost"
    new = broker.append([draft()])[0]
    assert new.key > old.key
    assert open_broker().head() == new
    generation = broker.generation
    broker.maintain()
    assert broker.generation == generation
