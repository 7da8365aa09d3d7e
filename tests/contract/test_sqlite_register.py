"""Promises of the SQLite log about its register, texts and revocations, beside the contract."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.flask_simulcast.brokers.base import Clock
from app.flask_simulcast.brokers.check_in import CheckIn
from app.flask_simulcast.brokers.sqlite.broker import SQLiteBroker
from app.flask_simulcast.brokers.sqlite.write_lock import WriteLock
from app.flask_simulcast.errors import BrokerUnavailableError
from app.flask_simulcast.event import CONTROL, Draft, Position
from app.flask_simulcast.presence import Place
from app.flask_simulcast.testing import FakeClock
from app.flask_simulcast.testing.promises.coming_and_going import check_told
from tests.contract import processes
from tests.contract.logs import read_all

Open = Callable[..., SQLiteBroker]
ANN = Place("1", "ann", "ann", ("c",), ("c",), "{}", "", "sse", 0, "w")
BOB = Place("2", "bob", "bob", ("c",), ("c",), "{}", "", "sse", 0, "w")


def check_in(broker: SQLiteBroker, *come: Place, gone: tuple[str, ...] = (), renews: bool = False) -> bool:
    return broker.check_in(CheckIn("w", come, gone, renews=renews, lease_seconds=60, grace_seconds=60))


def names(broker: SQLiteBroker) -> list[str]:
    return [member.member for member in broker.members("c", "", 9)]


def count(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


class Later(Clock):
    """A clock half a minute ahead, for which all leases of others have ended."""

    def monotonic(self) -> float:
        return super().monotonic() + 30


# Several processes


@pytest.mark.parametrize("patched", [False, True])
def test_a_text_is_given_to_one_of_two_processes(path: Path, open_broker: Open, patched: bool) -> None:
    broker = open_broker(use=Clock(), broker_seconds=30)
    for n in range(2000):
        broker.put_text(f"ticket {n}", str(n), 60)
    takers = [processes.start("take", path, 2000, patched=patched) for _ in range(2)]
    processes.go(takers)
    taken = [int(n) for answer in processes.finish(takers) for n in answer.split()]
    assert sorted(taken) == list(range(2000))


def test_presence_stays_true_while_two_processes_come_go_and_sweep(path: Path, open_broker: Open) -> None:
    broker = open_broker(use=Clock(), history_events=1_000_000, broker_seconds=30)
    start = broker.head()
    workers = [processes.start("come_and_go", path, f"w{n}", n, patched=bool(n)) for n in range(2)]
    processes.go(workers)
    processes.finish(workers)
    assert len(read_all(broker, start)) > 100
    check_told(broker, read_all(broker, start))
    later = open_broker(use=Later())
    later.maintain()
    assert check_told(later, read_all(later, start)) == set()


def test_the_members_of_a_killed_worker_leave(path: Path, open_broker: Open) -> None:
    broker = open_broker(use=Clock())
    start = broker.head()
    worker = processes.start("check_in", path)
    try:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
        assert names(broker) == ["ann"]
    finally:
        worker.kill()
        worker.communicate()
    began = time.monotonic()
    while names(broker) and time.monotonic() < began + 20:
        broker.maintain()
        broker.wait(0.1)
    assert [event.type for event in read_all(broker, start)] == ["join", "leave"]
    assert time.monotonic() - began < 8  # the lease of the maintenance, 5 s, and some


# One transaction for a fact and its event


@pytest.fixture
def refusing(path: Path, open_broker: Open) -> Callable[[str | None], None]:
    """Make the file refuse events of a type from now on; without a type, none."""

    def refuse(type: str | None) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("DROP TRIGGER IF EXISTS refuse")
            if type is not None:
                db.execute(
                    f"CREATE TRIGGER refuse BEFORE INSERT ON events WHEN NEW.type = '{type}'"
                    " BEGIN SELECT RAISE (ABORT, 'refused'); END"
                )

    return refuse


def test_no_member_comes_without_a_join(open_broker: Open, refusing: Callable[[str | None], None]) -> None:
    broker = open_broker()
    check_in(broker, ANN)
    refusing("join")
    with pytest.raises(BrokerUnavailableError, match="certainly not stored"):
        check_in(broker, BOB, gone=("1",), renews=True)
    assert names(broker) == ["ann"]
    assert broker.place("1") == ANN
    assert broker.place("2") is None
    refusing(None)
    assert check_in(broker, BOB, gone=("1",), renews=True)
    assert names(broker) == ["ann", "bob"]


def test_no_member_is_removed_without_a_leave(
    open_broker: Open, clock: FakeClock, refusing: Callable[[str | None], None]
) -> None:
    broker = open_broker()
    start = broker.head()
    check_in(broker, ANN, BOB)
    clock.advance(61)
    refusing("leave")
    with pytest.raises(BrokerUnavailableError):
        broker.maintain()
    assert names(broker) == ["ann", "bob"]
    refusing(None)
    broker.maintain()
    assert names(broker) == []
    assert [event.type for event in read_all(broker, start)] == ["join", "join", "leave", "leave"]


def test_nothing_is_revoked_without_an_event(open_broker: Open, refusing: Callable[[str | None], None]) -> None:
    broker = open_broker()
    refusing("revoke")
    with pytest.raises(BrokerUnavailableError):
        broker.revoke("user:ann", 1000, 60, Draft(CONTROL, "revoke", "1"))
    assert broker.revoked_before(["user:ann"]) == 0


# The file


def test_register_texts_and_revocations_survive_closing(path: Path, open_broker: Open) -> None:
    first = open_broker()
    check_in(first, ANN)
    first.put_text("t", "x", 60)
    first.revoke("user:ann", 1000, 60, Draft(CONTROL, "revoke", "1"))
    first.close()
    again = open_broker()
    assert again.place("1") == ANN
    assert names(again) == ["ann"]
    assert again.get_text("t") == "x"
    assert again.revoked_before(["user:ann"]) == 1000
    assert check_in(again, renews=True)


def test_what_has_ended_leaves_no_rows_behind(path: Path, clock: FakeClock, open_broker: Open) -> None:
    broker = open_broker()
    check_in(broker, ANN, BOB)
    check_in(broker, gone=("1",), renews=True)
    for n in range(1200):
        broker.put_text(f"t{n}", "x", 30)
    broker.pop_text("t0")
    broker.revoke("user:ann", 1000, 30, Draft(CONTROL, "revoke", "1"))
    clock.advance(100)
    broker.maintain()
    assert {table: count(path, table) for table in ("workers", "places", "listening", "kept", "revoked")} == {
        "workers": 0,
        "places": 0,
        "listening": 0,
        "kept": 0,
        "revoked": 0,
    }


def test_a_round_of_upkeep_that_finds_nothing_writes_nothing(path: Path, open_broker: Open) -> None:
    broker = open_broker()
    check_in(broker, ANN, BOB)
    check_in(broker, gone=("1",), renews=True)
    broker.put_text("t", "x", 30)
    broker.revoke("user:ann", 1000, 30, Draft(CONTROL, "revoke", "1"))
    broker.maintain()
    with closing(sqlite3.connect(path)) as other:
        (before,) = other.execute("PRAGMA data_version").fetchone()
        for _ in range(5):
            broker.maintain()
            assert broker.pop_text("unknown") is None
        assert other.execute("PRAGMA data_version").fetchone() == (before,)


def test_reading_and_an_unknown_text_wait_for_no_turn(path: Path, open_broker: Open) -> None:
    broker = open_broker(broker_seconds=5)
    check_in(broker, ANN)
    turn = WriteLock(f"{path}.lock")
    assert turn.try_take()
    try:
        began = time.monotonic()
        assert broker.pop_text("unknown") is None
        assert broker.place("1") == ANN
        assert broker.places("", 9, channel="c") == [ANN]
        assert names(broker) == ["ann"]
        assert broker.get_text("unknown") is None
        assert broker.revoked_before(["user:ann"]) == 0
        assert broker.newest(["presence:c"], 1).key < broker.head().key
        assert time.monotonic() - began < 3
    finally:
        turn.close()


def test_a_write_behind_a_frozen_writer_says_that_nothing_was_stored(path: Path, open_broker: Open) -> None:
    broker = open_broker(broker_seconds=0.3)
    broker.put_text("t", "x", 30)
    turn = WriteLock(f"{path}.lock")
    assert turn.try_take()
    try:
        for job in (
            lambda: check_in(broker, ANN),
            lambda: broker.check_out("w", grace_seconds=0),
            lambda: broker.put_text("u", "x", 30),
            lambda: broker.pop_text("t"),
            lambda: broker.revoke("user:ann", 1000, 60, Draft(CONTROL, "revoke", "1")),
        ):
            with pytest.raises(BrokerUnavailableError, match="certainly not stored"):
                job()
    finally:
        turn.close()
    assert names(broker) == []
    assert broker.pop_text("t") == "x"


def test_on_a_disk_that_is_nearly_full_leases_are_renewed_and_the_dead_are_swept(
    clock: FakeClock, open_broker: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = open_broker()
    check_in(broker, ANN, BOB)
    real = os.statvfs

    def nearly_full(folder: str) -> os.statvfs_result:
        values = list(real(folder))
        values[4] = 1  # f_bavail
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "statvfs", nearly_full)
    broker._log.disk._looked_at = float("-inf")
    with pytest.raises(BrokerUnavailableError, match="nearly full"):
        check_in(broker, ANN._replace(listener="3"), renews=True)
    with pytest.raises(BrokerUnavailableError, match="nearly full"):
        broker.put_text("t", "x", 30)
    clock.advance(50)
    assert check_in(broker, renews=True)
    broker.revoke("user:ann", 1000, 60, Draft(CONTROL, "revoke", "1"))
    clock.advance(50)
    broker.maintain()
    assert names(broker) == ["ann", "bob"]
    clock.advance(11)
    broker.maintain()
    assert names(broker) == []


# A machine that was started anew: the monotonic clock begins again


def test_a_text_from_before_a_reboot_is_gone(path: Path, clock: FakeClock, open_broker: Open) -> None:
    clock.advance(1_000_000)
    broker = open_broker()
    for name in "abc":
        broker.put_text(name, "x", 366 * 86400)
    broker.close()
    rebooted = open_broker(use=FakeClock(monotonic=12))
    assert rebooted.get_text("a") is None
    assert rebooted.pop_text("b") is None
    rebooted.put_text("d", "y", 60)
    rebooted.maintain()
    assert rebooted.get_text("d") == "y"
    assert count(path, "kept") == 1


def test_places_from_before_a_reboot_are_swept(path: Path, clock: FakeClock, open_broker: Open) -> None:
    clock.advance(1_000_000)
    broker = open_broker()
    check_in(broker, ANN, BOB)
    check_in(broker, gone=("1",), renews=True)
    broker.check_in(
        CheckIn(
            "other",
            [ANN._replace(listener="3", user="cat", member="cat")],
            [],
            renews=False,
            lease_seconds=60,
            grace_seconds=3,
        )
    )
    broker.check_out("other", grace_seconds=60)
    broker.close()
    rebooted = open_broker(use=FakeClock(monotonic=12))
    assert rebooted.places("", 9) == []
    assert rebooted.place("2") is None
    assert not check_in(rebooted, renews=True)
    assert names(rebooted) == ["ann", "bob", "cat"]
    rebooted.maintain()
    assert names(rebooted) == []
    told = [json.loads(event.data)["member"] for event in read_all(rebooted, Position(0, 0)) if event.type == "leave"]
    assert sorted(told) == ["ann", "bob", "cat"]


def test_a_revocation_outlives_a_reboot(open_broker: Open, clock: FakeClock) -> None:
    broker = open_broker()
    broker.revoke("user:ann", 1000, 60, Draft(CONTROL, "revoke", "1"))
    broker.close()
    rebooted = open_broker(use=FakeClock(monotonic=12))
    rebooted.maintain()
    assert rebooted.revoked_before(["user:ann"]) == 1000


# The plans: a read on the loop must not touch more rows than it returns


def test_reads_of_a_register_of_many_are_fast(open_broker: Open) -> None:
    broker = open_broker(use=Clock())
    places = [
        Place(f"{n:05}", f"u{n}", f"u{n}", ("c", f"d{n % 100}"), ("c",), "{}", "", "sse", n) for n in range(10_000)
    ]
    broker.check_in(CheckIn("w", places, [], renews=False, lease_seconds=60, grace_seconds=3))
    reads: list[Callable[[], object]] = [
        lambda: broker.place("05000"),
        lambda: broker.places("05000", 10),
        lambda: broker.places("05000", 10, channel="c"),
        lambda: broker.places("", 10, channel="d7"),
        lambda: broker.places("", 10, user="u77"),
        lambda: broker.places("", 10, user="u77", channel="c"),
        lambda: broker.members("c", "u5", 10),
        lambda: broker.channels("", 10),
        lambda: broker.get_text("t"),
        lambda: broker.revoked_before(["user:ann", "token:t"]),
        lambda: broker.newest(["presence:c"], 10),
    ]
    for read in reads:
        read()
        fastest = min(_seconds_of(read) for _ in range(20))
        assert fastest < 0.001  # going through all rows takes 5 ms


def _seconds_of(job: Callable[[], object]) -> float:
    began = time.perf_counter()
    job()
    return time.perf_counter() - began
