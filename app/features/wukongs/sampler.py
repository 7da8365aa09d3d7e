"""Sampler: samples the machine once for all its workers, and only while there are listeners.

A worker samples while it has a listener on a wukong and holds the machine's lease. If several workers have
such listeners, the holder samples for all of them. When it stops, another worker takes over.
"""

from __future__ import annotations

import logging
import time

import gevent
from flask import Flask

from ...extensions import simulcast
from ...flask_simulcast import Listener, SimulcastError
from ...flask_simulcast.signals import listener_added, listener_removed
from . import machine, service

_PERIOD_SECONDS = 1.0
_LEASE_SECONDS = 3.0  # time without samples after the holder was killed
_LEASE = f"sample:{machine.HOST}"

_log = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    """Start to watch this app's listeners."""
    sampler = Sampler(app)
    app.extensions["wukong_sampler"] = sampler
    listener_added.connect(sampler.added, sender=app)
    listener_removed.connect(sampler.removed, sender=app)


class Sampler:
    """Counts the listeners of this worker that watch a wukong, and runs while there are any."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._watching: set[str] = set()
        self._greenlet: gevent.Greenlet[[], None] | None = None

    def added(self, app: Flask, listener: Listener) -> None:
        """Count a listener. Receiver of ``listener_added``."""
        if any(channel.startswith("wukong:") for channel in listener.channels):
            self._watching.add(listener.id)
            if not self._greenlet:
                self._greenlet = gevent.spawn(self._run)

    def removed(self, app: Flask, listener: Listener) -> None:
        """Stop counting a listener. Receiver of ``listener_removed``."""
        self._watching.discard(listener.id)

    def _run(self) -> None:
        with self._app.app_context():
            while self._watching:  # again after the release, because a listener may have connected meanwhile
                self._sample_while_watched()
                self._release()

    def _sample_while_watched(self) -> None:
        due = time.monotonic()
        while self._watching:
            # Wait first: a new listener has its snapshot, and a load measured over 10 ms is meaningless.
            due = max(due + _PERIOD_SECONDS, time.monotonic())
            gevent.sleep(due - time.monotonic())
            self._sample()

    def _sample(self) -> None:
        try:
            if simulcast.hold_lease(_LEASE, _LEASE_SECONDS):
                service.sample()
        except SimulcastError as error:
            _log.warning("No sample this time: %s", error)
        except Exception:
            _log.exception("No sample this time.")

    def _release(self) -> None:
        try:
            simulcast.release_lease(_LEASE)
        except SimulcastError as error:
            _log.warning("The lease ends by itself: %s", error)
