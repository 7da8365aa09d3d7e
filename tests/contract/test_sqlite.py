"""The log in SQLite: several processes and threads on one file, and its end."""

from __future__ import annotations

import shutil
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
from app.flask_simulcast.brokers.sqlite.write_lock import WriteLock
from app.flask_simulcast.errors import BrokerError
from app.flask_simulcast.event import Draft, Event, Position
from app.flask_simulcast.loop import is_patched
from app.flask_simulcast.settings import Settings
from tests.contract import processes
from tests.contract.logs import draft, read_all, shell

Open = Callable[..., SQLiteBroker]


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
