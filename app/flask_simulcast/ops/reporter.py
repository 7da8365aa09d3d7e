"""Reporter: stores a worker's figures once a second, and reads those of all workers on request."""

from __future__ import annotations

import atexit
import logging
import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from weakref import WeakSet

import gevent
from flask import Flask, Response, got_request_exception, request
from gevent import monkey

from .. import metrics as extension
from ..hot import known
from ..loop import Threads, is_patched
from . import figures
from .folder import Folder, Machine

_PERIOD_SECONDS = 1.0
# A disk that hangs must not block the health check.
_PATIENCE_SECONDS = 0.5
_KEEP_SECONDS = 1.0

_NativeLock: type[threading.Lock] = monkey.get_original("_thread", "allocate_lock")
_log = logging.getLogger("flask_simulcast")
T = TypeVar("T")
_reporters: WeakSet[Reporter] = WeakSet()


class Reporter:
    """The reporter of one app in one process. It counts the app's answers, too.

    Args:
        metrics: The extension's counters in this process.
        path: Path of the folder that the workers of this machine share.
        setting: What an operator changes to get another folder: named in a warning.

    Attributes:
        on_round: Called once a second in each process that stores figures. Must not raise. May switch.
    """

    def __init__(self, app: Flask, metrics: extension.Metrics, path: Path, *, setting: str) -> None:
        self._metrics = metrics
        self._folder = Folder(path)
        self._setting = setting
        self.on_round: Callable[[], None] = lambda: None
        self._pid = 0
        self._began = time.time()
        self._request_errors = 0
        self._threads = Threads(1)
        # Between the threads of an unpatched process; in a patched one, between the thread that stores figures and the end.
        self._mutex = _NativeLock()
        self._started: dict[int, object] = {}  # by process, because a forked child starts its own
        self._looks = 0
        self._last_look = 0.0
        self._is_broken = False
        self._kept: tuple[float, Machine] | None = None
        _reporters.add(self)
        got_request_exception.connect(self._count_error, sender=app)
        app.after_request(self._count_answer)

    def start(self) -> None:
        """Start to store the figures: once a second if they have changed, and once more at the end of the process."""
        own, pid = object(), os.getpid()
        if self._started.setdefault(pid, own) is own:  # atomic: of two first requests at once, one starts it
            self._belong_to(pid)
            threading.Thread(target=self._run, name="simulcast-figures", daemon=True).start()  # patched: a greenlet

    def machine(self) -> Machine:
        """Return the figures of all workers of this machine; those of this one are current. May switch.

        Raises:
            OSError: The folder can't be read, or not within half a second.
        """
        try:
            machine = self._off_the_loop(self._write_and_read)
        except OSError as error:
            self._complain(error)
            raise
        self._kept = time.monotonic(), machine
        return machine

    def machine_or_worker(self) -> Machine:
        """Return the same, at most a second old; if that fails, the figures of this worker alone. May switch."""
        if self._kept is not None and time.monotonic() - self._kept[0] < _KEEP_SECONDS:
            return self._kept[1]
        try:
            return self.machine()
        except OSError:
            machine = Machine(1, self._began, figures.added_up([self._figures()]))
            self._kept = time.monotonic(), machine
            return machine

    def _run(self) -> None:
        while True:
            try:
                self._off_the_loop(self._write)
                self._is_broken = False
            except OSError as error:
                self._complain(error)
            self.on_round()
            time.sleep(_PERIOD_SECONDS)

    def _off_the_loop(self, function: Callable[[int, figures.Figures], T]) -> T:
        """Call a function with a number and this worker's figures. The number keeps older figures from replacing newer ones.

        In a patched process a thread calls it, and the loop goes on; in any other, the caller's own thread.
        """

        def in_turn(look: int, now: figures.Figures) -> T:
            with self._mutex:
                return function(look, now)

        if not is_patched():
            with self._mutex:
                return function(*self._look())
        with gevent.Timeout(_PATIENCE_SECONDS, TimeoutError(f"no answer within {_PATIENCE_SECONDS} s")):
            return self._threads.run(in_turn, *self._look())

    def _look(self) -> tuple[int, figures.Figures]:
        self._looks += 1
        return self._looks, self._figures()

    def _belong_to(self, pid: int) -> None:
        """The first time in a process, see to its last figures. After a fork the files are the parent's."""
        if self._pid != pid:
            self._pid = pid
            self._folder.leave()
            atexit.register(self._finish)

    def _write(self, look: int, now: figures.Figures) -> None:
        if look < self._last_look:
            return  # it had to wait, and newer figures were written: counters must not fall
        self._last_look = look
        self._belong_to(os.getpid())
        self._folder.write(now)

    def _write_and_read(self, look: int, now: figures.Figures) -> Machine:
        self._write(look, now)
        return self._folder.read()

    def _finish(self) -> None:
        """Store the figures at the end of the process. Without the thread pool, because the loop may have ended; after what
        its thread has begun, which must not replace these figures by older ones."""
        if self._pid != os.getpid():
            return
        atexit.unregister(self._finish)
        with self._mutex:
            self._pid, self._last_look = 0, math.inf  # nothing is newer
            try:
                self._folder.write(self._figures())
            except OSError as error:
                self._complain(error)
            self._folder.leave()

    def _figures(self) -> figures.Figures:
        return figures.of_worker(self._metrics, self._metrics.answers, self._request_errors)

    def _complain(self, error: OSError) -> None:
        """Log an error, once until it works again."""
        if not self._is_broken:
            self._is_broken = True
            _log.warning("Figures can't be shared with other workers: %s. Look at %s.", error, self._setting)

    @known  # a hot route counts its answers itself
    def _count_answer(self, response: Response) -> Response:
        self._metrics.answers[response.status_code] += 1
        if os.getpid() not in self._started and "SERVER_SOFTWARE" in request.environ:  # a test client is no server
            self.start()
        return response

    def _count_error(self, app: Flask, **facts: object) -> None:
        self._request_errors += 1


def start_reporters() -> None:
    """Start the reporters of all apps in this process. Gunicorn may hold a middleware around an app, which hides the app."""
    for reporter in list(_reporters):
        reporter.start()
