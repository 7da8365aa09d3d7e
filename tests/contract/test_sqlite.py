"""What the SQLite log promises beside the contract: other processes, other files, other people's locks."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import gevent
import pytest

from app.flask_simulcast.brokers.base import Clock
from app.flask_simulcast.brokers.sqlite.broker import SQLiteBroker
from app.flask_simulcast.brokers.sqlite.doorbell import Doorbell
from app.flask_simulcast.brokers.sqlite.write_lock import WriteLock
from app.flask_simulcast.errors import BrokerError, BrokerUnavailableError
from app.flask_simulcast.event import Draft, Event, Position
from app.flask_simulcast.loop import is_patched
from app.flask_simulcast.settings import Settings
from app.flask_simulcast.testing import FakeClock

from . import processes

Open = Callable[..., SQLiteBroker]


def draft(data: object = 1, channel: str = "c", key: str | None = None) -> Draft:
    return Draft(channel, "message", f'"{data}"', key)


BEFORE_ALL = Position(0, 0)


def read_all(broker: SQLiteBroker, after: Position = BEFORE_ALL) -> list[Event]:
    events: list[Event] = []
    while batch := broker.read(after).events:
        events += batch
        after = batch[-1].position
    return events


def shell(path: Path) -> sqlite3.Connection:
    """Somebody with an sqlite3 shell, who takes no turns."""
    return sqlite3.connect(path, isolation_level=None, timeout=0)


# Several processes


@pytest.mark.parametrize("patched", [False, True])
def test_two_processes_keep_their_order_and_lose_nothing(path: Path, open_broker: Open, patched: bool) -> None:
    broker = open_broker(use=Clock())
    writers = [processes.start("append", path, name, 500, patched=patched) for name in ("a", "b")]
    after = broker.head()
    processes.go(writers)
    seen: list[Event] = []
    deadline = time.monotonic() + 30
    while len(seen) < 1000 and time.monotonic() < deadline:
        batch = broker.read(after)
        assert not batch.passed
        seen += batch.events
        after = batch.events[-1].position if batch.events else after
        broker.wait(0.05)
    answers = processes.finish(writers)
    for name, answer in zip(("a", "b"), answers, strict=True):
        mine = [event for event in seen if event.type == name]
        assert [event.data for event in mine] == [str(n) for n in range(500)]
        assert [str(event.position) for event in mine] == answer.split()
    keys = [event.position.key for event in seen]
    assert keys == sorted(set(keys))
    assert read_all(broker, Position(keys[0] - 1, 0))[-1].position.key == keys[-1]


def test_a_reader_that_follows_two_writing_threads_sees_every_event_in_order(open_broker: Open) -> None:
    reader, *writers = (open_broker(use=Clock()) for _ in range(3))
    after = reader.head()

    def write(writer: SQLiteBroker, name: str) -> None:
        for n in range(300):
            writer.append([Draft("c", name, str(n))])

    threads = [threading.Thread(target=write, args=(w, str(n))) for n, w in enumerate(writers)]
    for thread in threads:
        thread.start()
    seen: list[Event] = []
    while any(thread.is_alive() for thread in threads) or reader.read(after).events:
        batch = reader.read(after).events
        seen += batch
        after = batch[-1].position if batch else after
        reader.wait(0.01)
    for name in ("0", "1"):
        assert [event.data for event in seen if event.type == name] == [str(n) for n in range(300)]


def test_threads_may_share_a_broker(open_broker: Open) -> None:
    broker = open_broker(use=Clock())
    start = broker.head()
    failures: list[BaseException] = []

    def work(name: int) -> None:
        try:
            for n in range(50):
                broker.append([draft(f"{name}-{n}")])
                broker.maintain()
                assert broker.hold_lease(f"job {name}", "me", 30)
                broker.release_lease(f"job {name}", "me")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(read_all(broker, start)) == 300


def test_greenlets_that_append_at_once_all_get_their_own_positions(open_broker: Open) -> None:
    if not is_patched():
        pytest.skip("for a process with a loop")
    broker = open_broker(broker_seconds=30)
    start = broker.head()
    other = processes.start("freeze", broker._log.path)  # has the turn, so that they pile up
    assert other.stdout is not None
    assert other.stdout.readline() == "ready\n"
    jobs = [
        gevent.spawn(broker.append, [draft(f"{n}-{i}", key=f"{n % 10}-{i}" if n < 20 else None) for i in range(3)])
        for n in range(60)
    ]
    gevent.sleep(0)
    assert not any(job.ready() for job in jobs)
    other.kill()
    other.communicate()
    answers = [job.get(timeout=20) for job in jobs]
    assert answers[:10] == answers[10:20]
    stored = {event.position: event.data for event in read_all(broker, start)}
    assert len(stored) == 50 * 3
    for n, positions in enumerate(answers[20:], 20):
        assert [stored[position] for position in positions] == [f'"{n}-{i}"' for i in range(3)]


def test_eight_processes_that_create_the_file_at_once_open_the_same_log(path: Path) -> None:
    starters = [processes.start("open", path, patched=bool(n % 2)) for n in range(8)]
    processes.go(starters)
    assert len(set(processes.finish(starters))) == 1
    with closing(shell(path)) as db:
        assert db.execute("SELECT count(*) FROM events").fetchone() == (9,)


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


@pytest.mark.parametrize("version", [4, 99])
def test_a_schema_of_another_version_is_refused(path: Path, open_broker: Open, version: int) -> None:
    open_broker().close()
    with closing(shell(path)) as db:
        db.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(BrokerUnavailableError, match=rf"schema {version}, expected 3.*Move the file away"):
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


def test_closing_twice_over_and_opening_again_keeps_the_log(path: Path, open_broker: Open) -> None:
    first = open_broker()
    positions = first.append([draft(n) for n in range(5)])
    first.close()
    again = open_broker()
    assert again.head() == positions[-1]
    assert again.verdict(positions[0], ("c",)).reason is None
    assert [event.position for event in read_all(again, Position(positions[0].key - 1, 0))] == positions


# A file that was swapped


def backup(path: Path, copy: Path) -> None:
    with closing(shell(path)) as db, closing(sqlite3.connect(copy)) as into:
        db.backup(into)


def restore(copy: Path, path: Path) -> None:
    """As an operator does it: the file is replaced, and what belonged to the old one is removed."""
    shutil.copy(copy, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)
    for end in ("-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)


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


# Other people's locks


def test_an_append_behind_a_foreign_lock_is_certainly_not_stored(path: Path, open_broker: Open) -> None:
    broker = open_broker(broker_seconds=0.3)
    head = broker.head()
    with closing(shell(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(BrokerUnavailableError, match="certainly not stored"):
            broker.append([draft()])
        assert time.monotonic() - began < 3
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


def test_a_reader_who_takes_his_time_holds_up_nobody(path: Path, clock: FakeClock, open_broker: Open) -> None:
    """A write-ahead log that has grown is begun anew under the turn; who still reads the old one must not be waited for."""
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
        """While A stands between reading its clock and reading the log, B comes and goes."""

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


# The doorbell


def test_a_frozen_neighbour_whose_bell_is_full_does_not_hold_up_a_ring(tmp_path: Path) -> None:
    neighbour, bell = Doorbell(str(tmp_path)), Doorbell(str(tmp_path))
    neighbour.listen()
    began = time.monotonic()
    for _ in range(5000):
        bell.ring()
    assert time.monotonic() - began < 5
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe, pytest.raises(BlockingIOError):
        probe.setblocking(False)
        for _ in range(5000):
            probe.sendto(b"!", socket.MSG_DONTWAIT, f"{tmp_path}/{neighbour._names[0]}")
    neighbour.wait(5)
    bell.close()
    neighbour.close()
    assert list(tmp_path.iterdir()) == []


def test_the_bell_of_a_killed_process_is_taken_down(tmp_path: Path) -> None:
    process = processes.start("hang_bell", tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.communicate()
    assert len(list(tmp_path.iterdir())) == 1
    bell = Doorbell(str(tmp_path))
    bell.ring()
    bell.close()
    assert list(tmp_path.iterdir()) == []


def test_a_bell_that_was_hung_up_in_the_same_tick_as_another_is_rung(tmp_path: Path) -> None:
    """A folder's time of change is as coarse as the kernel's tick, 4 ms: two changes can have the same."""
    first, second, ringer = (Doorbell(str(tmp_path)) for _ in range(3))
    first.listen()
    changed = tmp_path.stat().st_mtime_ns
    ringer.ring()
    second.listen()
    os.utime(tmp_path, ns=(changed, changed))
    ringer.ring()
    began = time.monotonic()
    second.wait(3)
    assert time.monotonic() - began < 2
    for bell in (first, second, ringer):
        bell.close()


# Size


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
    """Bug F8: without a word, and for good."""
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


# The end


def test_closing_waits_for_upkeep_that_is_under_way(path: Path, open_broker: Open) -> None:
    if not is_patched():
        pytest.skip("for a process with a loop")
    broker = open_broker(broker_seconds=20)
    broker.maintain()
    broker.append([draft()])
    turn = WriteLock(f"{path}.lock")
    assert turn.try_take()
    maintenance = gevent.spawn(broker.maintain)
    gevent.sleep(0.05)
    maintenance.kill()
    closing_time = gevent.spawn(broker.close)
    gevent.sleep(0.05)
    turn.close()
    closing_time.get(timeout=10)
    assert SQLiteBroker(str(path), Settings(), Clock()).close() is None
    broker.close = lambda: None  # type: ignore[method-assign]


def test_errors_of_a_log_that_is_gone_are_broker_errors(open_broker: Open) -> None:
    broker = open_broker()
    broker._log.files.reader.close()
    for ask in (broker.head, lambda: broker.read(Position(0, 0)), lambda: broker.verdict(Position(0, 0), ("c",))):
        with pytest.raises(BrokerError, match="can't be read"):
            ask()


def test_the_sqlite_shell_can_look_at_the_log(path: Path, open_broker: Open) -> None:
    tool = shutil.which("sqlite3")
    if tool is None:
        pytest.skip("no sqlite3 shell")
    open_broker().append([draft("hello")])
    answer = subprocess.run([tool, str(path), "SELECT data FROM events"], capture_output=True, text=True, check=True)
    assert '"hello"' in answer.stdout
