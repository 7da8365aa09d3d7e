"""Sampling: a job that runs once a machine, whatever the number of its workers, and only while there are listeners.

A worker runs it while it has a listener that watches and holds the machine's lease. If several workers have such listeners,
the holder runs it for all of them. When the holder stops, another worker takes over.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import gevent
from flask import Flask

from .extensions import simulcast
from .flask_simulcast import Listener, SimulcastError
from .flask_simulcast.signals import listener_added, listener_removed
from .host import HOST

# Time after a missed sample in which another worker takes over the job of a killed one.
_MARGIN_SECONDS = 2.0

_log = logging.getLogger(__name__)


class Sampler(ABC):
    """Counts the listeners of this worker that watch, and runs while there are any.

    Attributes:
        name: Name of the job; its lease has this name and the machine's.
        period_seconds: Seconds between two samples.
    """

    name: ClassVar[str]
    period_seconds: ClassVar[float]

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._lease = f"{self.name}:{HOST}"
        self._watching: set[str] = set()
        self._greenlet: gevent.Greenlet[[], None] | None = None
        app.extensions[f"{self.name}_sampler"] = self  # signals hold their receivers weakly
        listener_added.connect(self._added, sender=app)
        listener_removed.connect(self._removed, sender=app)

    @abstractmethod
    def is_watched_by(self, listener: Listener) -> bool:
        """Tell whether a listener makes this worker sample."""

    @abstractmethod
    def sample(self) -> None:
        """Take one sample and publish it. Only the holder of the lease does so. May switch."""

    def look(self) -> None:  # noqa: B027 (most samples stand alone)
        """Take a measure, for a sample that is the difference of two. Each worker that watches does so, at the beginning and then
        before each `sample`, so that a worker that takes over has two. May switch."""

    def _added(self, app: Flask, listener: Listener) -> None:
        if self.is_watched_by(listener):
            self._watching.add(listener.id)
            if not self._greenlet:
                self._greenlet = gevent.spawn(self._run)

    def _removed(self, app: Flask, listener: Listener) -> None:
        self._watching.discard(listener.id)

    def _run(self) -> None:
        with self._app.app_context():
            while self._watching:  # again after the release, because a listener may have connected meanwhile
                self._sample_while_watched()
                self._release()

    def _sample_while_watched(self) -> None:
        due = time.monotonic()
        self._try(self.look)
        while self._watching:
            # Wait first: a load measured over 10 ms is meaningless.
            due = max(due + self.period_seconds, time.monotonic())
            gevent.sleep(due - time.monotonic())
            self._try(self._look_and_sample)

    def _look_and_sample(self) -> None:
        self.look()
        if simulcast.hold_lease(self._lease, self.period_seconds + _MARGIN_SECONDS):
            self.sample()

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except SimulcastError as error:
            _log.warning("No sample this time (%s): %s", self.name, error)
        except Exception:
            _log.exception("No sample this time (%s).", self.name)

    def _release(self) -> None:
        try:
            simulcast.release_lease(self._lease)
        except SimulcastError as error:
            _log.warning("The lease of %s ends by itself: %s", self.name, error)
