"""A file of an older version is upgraded; a place that can't hold a log is refused."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.flask_simulcast.brokers.base import IDEMPOTENCY_SECONDS
from app.flask_simulcast.brokers.check_in import CheckIn
from app.flask_simulcast.brokers.sqlite import schema
from app.flask_simulcast.brokers.sqlite.broker import SQLiteBroker
from app.flask_simulcast.brokers.sqlite.committer import primary_code
from app.flask_simulcast.brokers.sqlite.schema import use_wal
from app.flask_simulcast.errors import BrokerUnavailableError, IdempotencyConflictError
from app.flask_simulcast.event import Draft, Position, first_key_of
from app.flask_simulcast.presence import Place
from app.flask_simulcast.testing import FakeClock
from tests.contract import processes

Open = Callable[..., SQLiteBroker]

VERSION_1 = """
PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;
CREATE TABLE meta (name TEXT PRIMARY KEY, key INTEGER NOT NULL, tag INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE events (key INTEGER PRIMARY KEY, tag INTEGER NOT NULL, channel TEXT, type TEXT, data TEXT);
CREATE INDEX events_of_channel ON events (channel) WHERE channel IS NOT NULL;
CREATE TABLE marks (channel TEXT PRIMARY KEY, key INTEGER NOT NULL, tag INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE known (key INTEGER PRIMARY KEY, tag INTEGER NOT NULL, idempotency_key TEXT NOT NULL UNIQUE);
CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;
"""


def key_of(clock: FakeClock, seconds_ago: int) -> int:
    return first_key_of(clock.time_ms() - seconds_ago * 1000)


@pytest.fixture
def old(path: Path, clock: FakeClock) -> Path:
    """Make a file of version 1: born long ago, swept since, with one event."""
    path.parent.mkdir()
    birth, forgotten, floor, event = (key_of(clock, seconds) for seconds in (9000, 8000, 5000, 60))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(VERSION_1)
        db.executemany(
            "INSERT INTO meta VALUES (?, ?, 7)", [("birth", birth), ("floor", floor), ("forgotten", forgotten)]
        )
        db.execute("INSERT INTO events VALUES (?, 5, 'c', 'message', '1')", (event,))
        db.execute("INSERT INTO known VALUES (?, 5, 'k')", (event,))
    return path


def test_a_file_of_version_1_is_upgraded_in_place(old: Path, clock: FakeClock, open_broker: Open) -> None:
    broker = open_broker()
    assert broker.head() == Position(key_of(clock, 60), 5)
    assert [event.data for event in broker.read(Position(0, 0)).events] == ["1"]
    assert broker.append([Draft("c", "message", "2", "k")]) == [broker.head()]
    place = Place("1", "ann", "ann", ("c",), ("c",), "{}", "", "sse", 0, "w")
    assert broker.check_in(CheckIn("w", [place], [], renews=False, lease_seconds=8, grace_seconds=3))
    broker.put_text("t", "x", 30)
    broker.revoke("user:ann", 1000, 30, Draft("c", "message", "1"))
    assert broker.begin_run("r", "ann", "{}", "w", 10)[1]
    broker.maintain()
    with closing(sqlite3.connect(old)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (4,)
    again = open_broker()
    assert again.place("1") == place


def test_the_common_mark_of_version_1_stands_for_all_that_may_have_gone_into_it(
    old: Path, clock: FakeClock, open_broker: Open
) -> None:
    broker = open_broker()
    for channel in ("c", "user:ann", "listener:a", "all"):
        assert broker.verdict(Position(key_of(clock, 8500), 1), [channel]).reason == "trimmed"
        assert broker.verdict(Position(key_of(clock, 7000), 1), [channel]).reason is None


def test_a_file_of_version_1_that_has_forgotten_nothing_has_no_marks(
    old: Path, clock: FakeClock, open_broker: Open
) -> None:
    with closing(sqlite3.connect(old)) as db, db:
        db.execute("UPDATE meta SET key = 0, tag = 0 WHERE name = 'forgotten'")
    broker = open_broker()
    assert broker.verdict(Position(key_of(clock, 8500), 1), ["c", "user:ann", "all"]).reason is None
    with closing(sqlite3.connect(old)) as db:
        assert db.execute("SELECT count(*) FROM marks").fetchone() == (0,)


def test_processes_that_upgrade_at_once_open_the_same_log(old: Path) -> None:
    starters = [processes.start("open", old) for _ in range(4)]
    processes.go(starters)
    assert len(set(processes.finish(starters))) == 1
    with closing(sqlite3.connect(old)) as db:
        assert db.execute("SELECT count(*) FROM events").fetchone() == (5,)


def test_a_worker_of_the_old_version_goes_on_until_it_ends(old: Path, open_broker: Open) -> None:
    """Its statements, on the connection that it has open, know nothing of the new tables. What it stores with a key has no
    fingerprint, and is the same event as whatever comes with that key."""
    with closing(sqlite3.connect(old, isolation_level=None)) as theirs:
        theirs.execute("SELECT count(*) FROM events").fetchone()
        broker = open_broker()
        (head,) = theirs.execute("SELECT max(key) FROM events").fetchone()
        theirs.execute("INSERT INTO events VALUES (?, 9, 'c', 'message', '\"old\"')", (head + 1,))
        theirs.execute("INSERT INTO known VALUES (?, 9, 'of-old')", (head + 1,))
        assert broker.head() == Position(head + 1, 9)
        assert broker.append([Draft("c", "message", "1", "of-old", "f" * 32)]) == [broker.head()]
        (new,) = broker.append([Draft("c", "message", "1", "of-new", "f" * 32)])
        found = theirs.execute("SELECT key, tag FROM known WHERE idempotency_key = 'of-new'").fetchone()
        assert Position(*found) == new


def test_a_file_of_version_2_is_upgraded_in_place(path: Path, clock: FakeClock, open_broker: Open) -> None:
    broker = open_broker()
    broker.append([Draft("c", "message", "1", "k", "f" * 32)])
    broker.close()
    with closing(sqlite3.connect(path)) as db:
        db.executescript("DROP TABLE fingerprints; DROP TABLE runs; PRAGMA user_version = 2;")
    broker = open_broker()
    assert broker.append([Draft("c", "message", "2", "k", "e" * 32)]) == [broker.head()]
    (second,) = broker.append([Draft("c", "message", "2", "l", "e" * 32)])
    with pytest.raises(IdempotencyConflictError):
        broker.append([Draft("c", "message", "1", "l", "f" * 32)])
    assert broker.head() == second


def test_a_file_of_version_3_is_upgraded_in_place(path: Path, clock: FakeClock, open_broker: Open) -> None:
    broker = open_broker()
    broker.append([Draft("c", "message", "1", "k", "f" * 32)])
    broker.close()
    with closing(sqlite3.connect(path)) as db:
        db.executescript("DROP TABLE runs; PRAGMA user_version = 3;")
    broker = open_broker()
    with pytest.raises(IdempotencyConflictError):
        broker.append([Draft("c", "message", "2", "k", "e" * 32)])
    assert broker.begin_run("r", "ann", "{}", "w", 10)[1]


def test_fingerprints_are_forgotten_with_their_keys(path: Path, clock: FakeClock, open_broker: Open) -> None:
    broker = open_broker()
    broker.append([Draft("c", "message", "1", f"{n}", "f" * 32) for n in range(1200)])
    broker.maintain()
    clock.advance(IDEMPOTENCY_SECONDS + 1)
    broker.append([Draft("c", "message", "1", "k", "f" * 32)])
    broker.maintain()
    with closing(sqlite3.connect(path)) as db:
        for table in ("known", "fingerprints"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,)


def test_where_memory_cannot_be_shared_the_reason_is_told() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        with pytest.raises(BrokerUnavailableError, match=r"journal mode memory.*local disk"):
            use_wal(db, "/nfs/simulcast.db")


def test_a_file_without_a_write_ahead_log_gets_one(path: Path, open_broker: Open) -> None:
    open_broker().close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    broker = open_broker()
    broker.append([Draft("c", "message", "1")])
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_busy_is_busy_whatever_the_reason(path: Path, open_broker: Open) -> None:
    """A connection that read before another one wrote gets SQLITE_BUSY_SNAPSHOT."""
    open_broker()
    with closing(sqlite3.connect(path, isolation_level=None)) as one, closing(sqlite3.connect(path)) as other:
        one.execute("BEGIN")
        one.execute("SELECT count(*) FROM events").fetchone()
        with other:
            other.execute("INSERT INTO marks VALUES ('x', 1, 1)")
        with pytest.raises(sqlite3.OperationalError) as caught:
            one.execute("INSERT INTO marks VALUES ('y', 1, 1)")
    assert caught.value.sqlite_errorname == "SQLITE_BUSY_SNAPSHOT"
    assert primary_code(caught.value) == sqlite3.SQLITE_BUSY
    with pytest.raises(sqlite3.ProgrammingError) as closed:
        one.execute("SELECT 1")
    assert primary_code(closed.value) == 0


def test_no_statement_has_numbered_placeholders() -> None:
    """Python 3.12.0 to 3.12.3, which Ubuntu 24.04 has, warns of each. Other versions say nothing."""
    found = [file.name for file in Path(schema.__file__).parent.glob("*.py") if re.search(r"\W\?\d", file.read_text())]
    assert found == ["tables.py"], "which says why"
