"""Looks: this machine and its workers at one moment. What they do is the difference of two looks.

Each worker looks every five seconds from its start on, and a `Past` keeps what a feature makes of it: so a chart begins with the
last minutes, also if no client was there.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections import deque
from typing import Any, ClassVar, NamedTuple

import psutil
from blinker import Namespace
from flask import Flask, current_app

from .figures import reporter
from .flask_simulcast.ops import Figures
from .host import worker_pids

#: Seconds between two looks, and the number of rows that a `Past` keeps: five minutes.
PERIOD_SECONDS = 5
MAX_ROWS = 60

#: ``machine_looked(app, before=Look, now=Look)``.
machine_looked = Namespace().signal("machine-looked")

_KEY = "simulcast_watch"
_log = logging.getLogger(__name__)


class Look(NamedTuple):
    """What one look at this machine has found.

    Attributes:
        time_ms: Unix time in ms.
        at: Monotonic seconds, of which rates are made: the wall clock might jump between two looks.
        busy, total: Seconds of all cores since the machine was started: at work, and altogether.
        threads: Threads of this server's workers.
        memory_used, memory_available: Bytes.
        figures: What all workers of this machine have counted.
        workers: The number of these workers.
    """

    time_ms: int
    at: float
    busy: float
    total: float
    threads: int
    memory_used: int
    memory_available: int
    figures: Figures
    workers: int


def look() -> Look:
    """Look at this machine. May switch."""
    busy, total = _cpu_seconds()
    memory = psutil.virtual_memory()
    workers, _, figures = reporter().machine_or_worker()
    return Look(
        time_ms=time.time_ns() // 1_000_000,
        at=time.monotonic(),
        busy=busy,
        total=total,
        threads=sum(map(_threads_of, worker_pids())),
        memory_used=memory.total - memory.available,
        memory_available=memory.available,
        figures=figures,
        workers=workers,
    )


class Past(ABC):
    """What a feature makes of the looks of the last five minutes. In the memory of each worker.

    Attributes:
        name: Of the rows, for the app.
        rows: The oldest first.
    """

    name: ClassVar[str]

    def __init__(self, app: Flask) -> None:
        self.rows: deque[Any] = deque(maxlen=MAX_ROWS)
        app.extensions[f"{self.name}_past"] = self  # signals hold their receivers weakly
        machine_looked.connect(self._keep, sender=app)

    @classmethod
    def here(cls) -> list[Any]:
        """Return the rows of the current app, the oldest first."""
        kept: Past = current_app.extensions[f"{cls.name}_past"]
        return list(kept.rows)

    @abstractmethod
    def row(self, before: Look, now: Look) -> Any:
        """Return what happened between two looks. Pure."""

    def _keep(self, app: Flask, before: Look, now: Look) -> None:
        self.rows.append(self.row(before, now))


class _Watch:
    """Looks in time, and tells of it."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._before: Look | None = None
        self._due = 0.0

    def on_round(self) -> None:
        """A second has passed. May switch."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + PERIOD_SECONDS
        try:
            with self._app.app_context():
                before, self._before = self._before, look()
                if before is not None:
                    machine_looked.send(self._app, before=before, now=self._before)
        except Exception:
            _log.exception("No look at the machine this time.")


def init_app(app: Flask) -> None:
    """Look from the worker's start on."""
    watch = app.extensions[_KEY] = _Watch(app)
    with app.app_context():
        reporter().on_round = watch.on_round


def _cpu_seconds() -> tuple[float, float]:
    """Return the seconds of all cores: at work, and altogether. `psutil.cpu_percent` measures since its last call, and wukongs
    call it, too."""
    times = psutil.cpu_times()
    # Linux counts the time of guests twice.
    total = sum(times) - getattr(times, "guest", 0) - getattr(times, "guest_nice", 0)
    return total - times.idle - getattr(times, "iowait", 0), total


def _threads_of(pid: int) -> int:
    try:
        return int(psutil.Process(pid).num_threads())
    except psutil.Error:
        return 0  # it has ended
