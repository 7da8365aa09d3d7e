"""The size of the file and its write-ahead log, and a full disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.flask_simulcast.brokers.sqlite.broker import SQLiteBroker
from app.flask_simulcast.errors import BrokerUnavailableError
from app.flask_simulcast.event import Position
from app.flask_simulcast.testing import FakeClock
from tests.contract.logs import draft, read_all, shell

Open = Callable[..., SQLiteBroker]


def fill(broker: SQLiteBroker) -> int:
    for count in range(1000):
        try:
            broker.append([draft("x" * 30_000)])
        except BrokerUnavailableError as error:
            assert "certainly not stored" in str(error)
            return count
    raise AssertionError("the log has no bound")


def test_a_full_log_refuses_and_recovers(path: Path, clock: FakeClock, open_broker: Open) -> None:
    broker = open_broker(history_bytes=1 << 20)
    broker.maintain()
    count = fill(broker)
    assert count >= 30
    head = broker.head()
    with pytest.raises(BrokerUnavailableError):
        broker.append([draft("x" * 60_000)] * 100)
    assert broker.head() == head
    clock.advance(11)
    broker.maintain()
    clock.advance(11)
    broker.maintain()
    assert broker.append([draft("x" * 30_000)])[0] == broker.head()
    assert path.stat().st_size <= 2 << 20


def test_a_read_is_bounded_in_bytes(open_broker: Open) -> None:
    broker = open_broker()
    start = broker.head()
    for _ in range(10):
        broker.append([draft("x" * 60_000)] * 20)
    assert sum(len(event.data) for event in broker.read(start).events) < 2 << 20
    assert len(read_all(broker, start)) == 200


def test_a_disk_that_is_nearly_full_does_not_cost_the_whole_history(
    clock: FakeClock, open_broker: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = open_broker(history_events=10_000)
    for _ in range(100):
        broker.append([draft("x" * 1000)] * 60)
    broker.maintain()
    clock.advance(11)
    kept = []
    real = os.statvfs

    def nearly_full(folder: str) -> os.statvfs_result:
        values = list(real(folder))
        values[4] = 1  # f_bavail
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "statvfs", nearly_full)
    for _ in range(20):
        broker.maintain()
        clock.advance(1)
        kept.append(len(read_all(broker, Position(0, 0))))
    assert 3000 <= kept[-1] < 6000


def test_the_write_ahead_log_does_not_grow_without_end(path: Path, clock: FakeClock, open_broker: Open) -> None:
    broker = open_broker()
    wal = Path(f"{path}-wal")
    for _ in range(12):
        for _ in range(40):
            broker.append([draft("x" * 60_000)])
        broker.maintain()
    assert wal.stat().st_size < 20 << 20


def grow(broker: SQLiteBroker, path: Path, to_bytes: int) -> None:
    wal = Path(f"{path}-wal")
    while wal.stat().st_size < to_bytes:
        broker.append([draft("x" * 60_000)])


def test_a_reader_that_stays_is_told_of_once_and_the_file_shrinks_when_it_has_gone(
    path: Path, clock: FakeClock, open_broker: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """Bug F8: it was lost silently, and for good."""
    broker = open_broker()
    broker.append([draft()])
    broker.maintain()
    with closing(shell(path)) as other, caplog.at_level("INFO"):
        for _ in range(2):
            caplog.clear()
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM events").fetchone()
            grow(broker, path, 40 << 20)
            for _ in range(3):
                broker.maintain()
                clock.advance(4)
            warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
            assert [f"{path}-wal has 4" in text and "lsof" in text for text in warnings] == [True]
            assert broker.write_ahead_bytes >= 40 << 20
            other.execute("COMMIT")
            broker.maintain()
            assert broker.write_ahead_bytes <= 16 << 20
            assert f"{path}-wal is small again" in caplog.text
    assert broker.verdict(broker.head(), ("c",)).reason is None


def test_a_busy_log_keeps_the_space_that_it_writes_to_and_gives_it_back_once_it_is_quiet(
    path: Path, clock: FakeClock, open_broker: Open
) -> None:
    """Cutting it in each round cost every append a tenth more, because the file had to grow again."""
    broker = open_broker()
    grow(broker, path, 40 << 20)
    broker.maintain()
    busy = broker.write_ahead_bytes
    assert busy >= 40 << 20
    for _ in range(3):
        broker.maintain()
        for _ in range(20 << 20 >> 16):
            broker.append([draft("x" * 60_000)])
        assert Path(f"{path}-wal").stat().st_size == busy
    broker.maintain()
    for _ in range(2):
        clock.advance(3)  # the lease of the maintenance is renewed, which is a write
        broker.maintain()
    assert broker.write_ahead_bytes <= 16 << 20


def test_a_busy_log_is_not_taken_for_one_that_is_read_without_an_end(
    path: Path, clock: FakeClock, open_broker: Open, caplog: pytest.LogCaptureFixture
) -> None:
    broker = open_broker()
    for _ in range(3):
        grow(broker, path, 40 << 20)  # more between two rounds than there is told of
        clock.advance(60)
        broker.maintain()
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_a_write_ahead_log_larger_than_the_file_can_be_does_not_count_as_room_that_it_needs(
    path: Path, open_broker: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug F8: each MiB of it raised the point at which publishing was refused, for good."""
    broker = open_broker(history_bytes=1 << 20)
    broker.append([draft()])
    spare, most, real = 64 << 20, 2 << 20, os.statvfs

    def room(folder: str) -> os.statvfs_result:
        values = list(real(folder))
        values[1], values[2], values[4] = 1, 1 << 40, free  # f_frsize, f_blocks, f_bavail
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "statvfs", room)
    os.truncate(f"{path}-wal", 500 << 20)  # a hole: no disk is needed for it
    free = spare + most
    assert not broker._log.disk._look()
    free = spare - 1
    assert broker._log.disk._look()
    os.truncate(f"{path}-wal", 1 << 20)
    free = spare + (1 << 20) - 1
    assert broker._log.disk._look(), "what is in it has to move into the file"
