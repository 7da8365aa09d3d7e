"""Locks of other programs on the file: calls that wait, and calls that are refused in time."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.flask_simulcast.brokers.sqlite.broker import SQLiteBroker
from app.flask_simulcast.brokers.sqlite.write_lock import WriteLock
from app.flask_simulcast.errors import BrokerUnavailableError
from app.flask_simulcast.loop import is_patched
from app.flask_simulcast.testing import FakeClock
from tests.contract.logs import draft, read_all, shell

Open = Callable[..., SQLiteBroker]


def test_an_append_behind_a_foreign_lock_is_certainly_not_stored(path: Path, open_broker: Open) -> None:
    broker = open_broker(broker_seconds=1)  # within it a busy machine must let the thread run
    head = broker.head()
    with closing(shell(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(BrokerUnavailableError, match="certainly not stored"):
            broker.append([draft()])
        assert time.monotonic() - began < 5 * 1
        assert broker.head() == head
        other.execute("ROLLBACK")
    assert broker.append([draft(2)])[0] == broker.head()
    assert [event.data for event in read_all(broker, head)] == ['"2"']


def test_an_append_waits_for_a_foreign_lock_that_goes_in_time(path: Path, open_broker: Open) -> None:
    broker = open_broker(broker_seconds=20)
    with closing(shell(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        thread = threading.Thread(target=lambda: (time.sleep(0.1), other.execute("ROLLBACK")))
        other_thread_allowed = sqlite3.threadsafety  # 3: the connection may be used from another thread
        if other_thread_allowed != 3 or not is_patched():
            pytest.skip("needs a loop")
        thread.start()
        broker.append([draft()])
        thread.join()


@pytest.mark.parametrize("events", [1, 100])
def test_an_append_behind_a_frozen_writer_is_certainly_not_stored(path: Path, open_broker: Open, events: int) -> None:
    broker = open_broker(broker_seconds=0.3)
    head = broker.head()
    turn = WriteLock(f"{path}.lock")
    assert turn.try_take()
    try:
        began = time.monotonic()
        with pytest.raises(BrokerUnavailableError, match="certainly not stored"):
            broker.append([draft()] * events)
        assert time.monotonic() - began < 3
    finally:
        turn.close()
    broker.append([draft(2)])
    assert [event.data for event in read_all(broker, head)] == ['"2"']


def test_a_lease_and_upkeep_do_not_wait_for_a_frozen_writer_for_ever(path: Path, open_broker: Open) -> None:
    broker = open_broker(broker_seconds=0.3)
    turn = WriteLock(f"{path}.lock")
    assert turn.try_take()
    release = threading.Timer(8, turn.release)
    release.start()
    try:
        for job in (lambda: broker.hold_lease("job", "a", 10), broker.maintain):
            began = time.monotonic()
            with pytest.raises(BrokerUnavailableError):
                job()
            assert time.monotonic() - began < 3
    finally:
        release.cancel()
        turn.close()
    assert broker.hold_lease("job", "a", 10)


def test_a_slow_reader_delays_no_other_process(path: Path, clock: FakeClock, open_broker: Open) -> None:
    """A large write-ahead log starts over with the write lock held, so it must not wait for a reader of the old one."""
    broker = open_broker(broker_seconds=1)
    with closing(shell(path)) as other:
        broker.append([draft()])
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM events").fetchone()
        for _ in range(100):
            broker.append([draft("x" * 60_000)])
        began = time.monotonic()
        broker.maintain()
        assert time.monotonic() - began < 2


def test_a_lease_of_a_full_minute_is_not_taken_away_by_one_who_asked_a_moment_earlier(open_broker: Open) -> None:
    class Clocks(FakeClock):
        """A clock that lets B come and go while A is between reading the clock and reading the log."""

        def monotonic(self) -> float:
            now = super().monotonic()
            if jobs:
                self.advance(0.001)
                jobs.pop()()
            return now

    jobs: list[Callable[[], object]] = []
    clock = Clocks()
    a, b = open_broker(use=clock), open_broker(use=clock)
    taken: list[bool] = []
    jobs.append(lambda: taken.append(b.hold_lease("job", "b", 60)))
    assert not a.hold_lease("job", "a", 60)
    assert taken == [True]


def test_a_lease_from_before_a_reboot_does_not_count(path: Path, clock: FakeClock, open_broker: Open) -> None:
    broker = open_broker()
    clock.advance(1_000_000)
    assert broker.hold_lease("job", "a", 30)
    rebooted = open_broker(use=FakeClock(monotonic=12))
    assert rebooted.hold_lease("job", "b", 30)
    assert not rebooted.hold_lease("job", "c", 30)
