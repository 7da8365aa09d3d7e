"""Sweeper: keeps the answers that killed workers have left, and removes conversations that are silent for too long."""

from __future__ import annotations

import logging
import time

import gevent
from flask import Flask, request_started
from sqlalchemy.exc import SQLAlchemyError

from ....extensions import simulcast
from ....flask_simulcast import SimulcastError
from ....flask_simulcast.errors import NoSuchRunError
from . import service, store

PERIOD_SECONDS = 5.0
# The worker that made an answer keeps it within this time after its end, unless it was killed.
_GRACE_MS = 2000
_MOST_SILENT_MS = 90 * 86_400_000
_MOST_AT_ONCE = 100

_log = logging.getLogger(__name__)


class Sweeper:
    """Sweeps every five seconds, from the first request that this worker answers on.

    Args:
        app: The app.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        request_started.connect(self._begin, app, weak=False)

    def _begin(self, app: Flask, **_: object) -> None:
        request_started.disconnect(self._begin, app)
        gevent.spawn(self._run)

    def _run(self) -> None:
        with self._app.app_context():
            while True:
                gevent.sleep(PERIOD_SECONDS)
                try:
                    self._sweep()
                except (SimulcastError, SQLAlchemyError) as error:
                    _log.warning("Conversations are not swept this time: %s", error)
                except Exception:
                    _log.exception("Conversations are not swept this time.")

    def _sweep(self) -> None:
        for row in store.open_turns()[:_MOST_AT_ONCE]:
            conversation = store.of_key(row.conversation_id)
            if conversation is not None and _is_left(row.completion):
                service.keep(service.Turn(row, service.channel_of(conversation)))
        service.tell_removed(store.remove_silent(_now_ms() - _MOST_SILENT_MS, _MOST_AT_ONCE))


def _is_left(completion: str) -> bool:
    """Tell whether the worker that made an answer should have kept it by now. Switches."""
    try:
        end = simulcast.run_state(completion).end
    except NoSuchRunError:
        return True
    return end is not None and _now_ms() - end.milliseconds > _GRACE_MS


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
