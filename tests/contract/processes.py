"""Other processes on the same log, for tests: each runs one function of this file, in a plain interpreter.

python -m tests.contract.processes append <file> <name> <events>
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def start(what: str, *arguments: object, patched: bool = False) -> subprocess.Popen[str]:
    """Start a process that says "ready", and goes on when a line is written to it."""
    launcher = ["-m", "gevent.monkey", "--module"] if patched else ["-m"]
    return subprocess.Popen(
        [sys.executable, *launcher, "tests.contract.processes", what, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def go(processes: Iterable[subprocess.Popen[str]]) -> None:
    """Let processes begin at the same time."""
    processes = list(processes)
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def finish(processes: Iterable[subprocess.Popen[str]]) -> list[str]:
    """Wait for processes; return what each printed."""
    answers = []
    for process in processes:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, out
        answers.append(out)
    return answers


def _append(file: str, name: str, events: str) -> None:
    """Append one event at a time, and print each position."""
    from app.flask_simulcast.brokers.base import Clock
    from app.flask_simulcast.brokers.sqlite.broker import SQLiteBroker
    from app.flask_simulcast.event import Draft
    from app.flask_simulcast.settings import Settings

    _wait_for_go()
    broker = SQLiteBroker(file, Settings(broker_seconds=30), Clock())
    for n in range(int(events)):
        (position,) = broker.append([Draft("c", name, str(n))])
        print(position)
    broker.close()


def _open(file: str) -> None:
    """Open the log, make it if it is missing, and print its first position."""
    from app.flask_simulcast.brokers.base import Clock
    from app.flask_simulcast.brokers.sqlite.broker import SQLiteBroker
    from app.flask_simulcast.event import Draft, Position
    from app.flask_simulcast.settings import Settings

    _wait_for_go()
    broker = SQLiteBroker(file, Settings(), Clock())
    broker.append([Draft("c", "message", "1")])
    print(broker.verdict(Position(0, 0), ("c",)).resume_at)
    broker.close()


def _freeze(file: str) -> None:
    """Take the write lock, and keep it until a line comes."""
    from app.flask_simulcast.brokers.sqlite.write_lock import WriteLock

    turn = WriteLock(file + ".lock")
    turn.take(10)
    _wait_for_go()
    turn.release()


def _hang_bell(folder: str) -> None:
    """Bind a bell, and never read from it."""
    from app.flask_simulcast.brokers.sqlite.doorbell import Doorbell

    bell = Doorbell(folder)
    bell.listen()
    print("ready", flush=True)
    time.sleep(60)


def _take(file: str, tickets: str) -> None:
    """Take all tickets that are left, and print them."""
    from app.flask_simulcast.brokers.base import Clock
    from app.flask_simulcast.brokers.sqlite.broker import SQLiteBroker
    from app.flask_simulcast.settings import Settings

    broker = SQLiteBroker(file, Settings(broker_seconds=30), Clock())
    _wait_for_go()
    print(*filter(None, (broker.pop_text(f"ticket {n}") for n in range(int(tickets)))))
    broker.close()


def _come_and_go(file: str, worker: str, seed: str) -> None:
    """Be a worker whose listeners come and go, and which sweeps; end without output."""
    from app.flask_simulcast.brokers.base import Clock
    from app.flask_simulcast.brokers.sqlite.broker import SQLiteBroker
    from app.flask_simulcast.settings import Settings
    from app.flask_simulcast.testing.promises.coming_and_going import BusyWorker

    broker = SQLiteBroker(file, Settings(broker_seconds=30), Clock())
    busy = BusyWorker(broker, worker, seed=int(seed), lease_seconds=0.05, grace_seconds=0.01)
    _wait_for_go()
    for _ in range(150):
        busy.work(5)
        broker.maintain()


def _check_in(file: str) -> None:
    """Be a worker with one listener, which also does the maintenance, until it is killed."""
    from app.flask_simulcast.brokers.base import Clock
    from app.flask_simulcast.brokers.check_in import CheckIn
    from app.flask_simulcast.brokers.sqlite.broker import SQLiteBroker
    from app.flask_simulcast.presence import Place
    from app.flask_simulcast.settings import Settings

    broker = SQLiteBroker(file, Settings(), Clock())
    place = Place("1", "ann", "ann", ("c",), ("c",), "{}", "", "sse", 0)
    renews = False
    while True:
        broker.check_in(CheckIn("w", [] if renews else [place], [], renews=renews, lease_seconds=1, grace_seconds=0))
        broker.maintain()
        if not renews:
            print("ready", flush=True)
        renews = True
        time.sleep(0.2)


def _wait_for_go() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    {
        "append": _append,
        "open": _open,
        "freeze": _freeze,
        "hang_bell": _hang_bell,
        "take": _take,
        "come_and_go": _come_and_go,
        "check_in": _check_in,
    }[sys.argv[1]](*sys.argv[2:])
