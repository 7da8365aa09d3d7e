"""The faults of a run. Dice decide where and when; each fault is recorded with its time."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.tools.redis_server import Redis
from tests.tools.serving import Server, free_port, serve, wait_until

_PATIENCE_SECONDS = 60  # while nothing moves


class Nemesis(ABC):
    """One kind of fault.

    Args:
        chance: Its dice.

    Attributes:
        log: What it did, and when (monotonic clock).
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.log: list[tuple[float, str]] = []

    @abstractmethod
    def strike(self) -> None:
        """Strike once, and undo the fault where needed."""

    def note(self, text: str) -> None:
        """Record a fault with the present time."""
        self.log.append((time.monotonic(), text))

    def run(self, times: int, progress: Callable[[], float]) -> None:
        """Strike a number of times, at random points of the run.

        Args:
            times: How often.
            progress: How much of the run is over, from 0 to 1.

        Raises:
            AssertionError: The run stands still.
        """
        for point in sorted(self.chance.uniform(0.02, 0.95) for _ in range(times)):
            wait_until(lambda point=point: progress() >= point, _PATIENCE_SECONDS, f"the run to reach {point:.0%}")
            self.strike()


class KillWorker(Nemesis):
    """Kills a random worker with SIGKILL; sometimes one that has only just been started."""

    def __init__(self, chance: random.Random, server: Server) -> None:
        super().__init__(chance)
        self._server = server
        self._killed: set[int] = set()

    def strike(self) -> None:
        alive = wait_until(lambda: [pid for pid in self._server.workers if pid not in self._killed], 10, "a worker")
        victim = self.chance.choice(alive)
        self._killed.add(victim)
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        self.note(f"killed worker {victim}")


class Service:
    """A server that can be killed as a whole, and started again on the same port. Use as a context manager."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.port = free_port()
        self._folder = folder
        self._options = options
        self._stack = contextlib.ExitStack()
        self.server: Server

    def __enter__(self) -> Service:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self) -> None:
        """Start the service, and wait until it answers."""
        self.server = self._stack.enter_context(serve(self._folder, port=self.port, **self._options))

    def stop(self) -> None:
        """Stop the service as an operator does."""
        self._stack.close()

    def kill(self) -> None:
        """Kill the master with SIGKILL; its workers notice, and end."""
        workers = self.server.workers
        self.server.process.kill()
        self.server.process.wait()
        wait_until(lambda: not any(map(_is_alive, workers)), 5 * 3, "the workers to follow their master")
        self._stack.close()


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class KillMaster(Nemesis):
    """Kills gunicorn's master with SIGKILL; a supervisor starts it again."""

    def __init__(self, chance: random.Random, service: Service) -> None:
        super().__init__(chance)
        self._service = service

    def strike(self) -> None:
        self.note(f"killed master {self._service.server.process.pid}")
        self._service.kill()
        self._service.start()
        self.note("started again")


class KillRedis(Nemesis):
    """Kills Redis with SIGKILL, and starts it again after a while."""

    def __init__(self, chance: random.Random, redis: Redis, *, most_seconds: float = 1.0) -> None:
        super().__init__(chance)
        self._redis = redis
        self._most_seconds = most_seconds

    def strike(self) -> None:
        self._redis.kill()
        self.note("killed Redis")
        threading.Event().wait(self.chance.uniform(0, self._most_seconds))
        self._redis.start()
        self.note("started Redis")


class FreezeRedis(Nemesis):
    """Freezes Redis with SIGSTOP for a while: it accepts connections, and answers nothing."""

    def __init__(self, chance: random.Random, redis: Redis, seconds: float) -> None:
        super().__init__(chance)
        self._redis = redis
        self._seconds = seconds

    def strike(self) -> None:
        self._redis.freeze()
        self.note("froze Redis")
        try:
            threading.Event().wait(self._seconds)
        finally:
            self._redis.thaw()
            self.note("thawed Redis")


class Reload(Nemesis):
    """Sends HUP to the master: new workers start, and the old ones drain."""

    def __init__(self, chance: random.Random, server: Server) -> None:
        super().__init__(chance)
        self._server = server

    def strike(self) -> None:
        old = set(self._server.workers)
        self._server.signal(signal.SIGHUP)
        self.note("reloaded")
        wait_until(lambda: not old & set(self._server.workers), 5 * 4, "the old workers to leave")
        self.note("the old workers are gone")


# Under libfaketime 0.9.10 `time.sleep` of CPython, an absolute time on a monotonic clock that is not faked, fails with EINVAL.
_SLEEP = """import select, time
time.sleep = lambda seconds: select.select([], [], [], seconds)
"""


class ShiftClock(Nemesis):
    """Sets the wall clock of a server: an hour ahead, an hour back. Its monotonic clock runs on, as it does where a clock is set.

    Args:
        chance: Its dice.
        folder: In which the server will be started.

    Source: libfaketime(1).
    """

    LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)

    def __init__(self, chance: random.Random, folder: Path) -> None:
        super().__init__(chance)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sitecustomize.py").write_text(_SLEEP)
        self._file = folder / "clock"
        self._hours = 0
        self.set(0)

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of the server."""
        return {
            "LD_PRELOAD": str(self.LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1",  # s; each look at the clock would read the file
        }

    def set(self, hours: int) -> None:
        """Set the distance from the real time."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{hours:+d}h\n")
        new.replace(self._file)
        self.note(f"clock at {hours:+d} h")

    def strike(self) -> None:
        others = [hours for hours in (-1, 0, 1) if hours != self._hours]
        self._hours = self.chance.choice(others) if len(self.log) > 1 else 1  # ahead first: that moves the log, too
        self.set(self._hours)
