"""Scheduler: polls the sources of ``SIMULCAST_USAGE_SOURCES``, in one worker of the fleet.

Each worker tries to hold the lease; the holder has a greenlet for each source. When the holder is killed, another worker has the
lease after 12 s at most. What it stores again is stored once, because each record of a source has an origin.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator

import gevent
from flask import Flask
from msgspec import UNSET
from sqlalchemy.exc import SQLAlchemyError

from ...config import Source
from ...extensions import simulcast
from ...flask_simulcast import SimulcastError
from . import service, sources, store
from .fetch import Item, SourceError, fetch

_LEASE = "usage_sources"
_LEASE_SECONDS = 10.0
_BEAT_SECONDS = 2.0
#: A source that fails is asked less and less often, down to this, or to its own interval if that is longer.
_MOST_WAIT_SECONDS = 300.0
_ROWS_AT_ONCE = 1000

_log = logging.getLogger(__name__)


class Scheduler:
    """Polls while this worker holds the lease."""

    def __init__(self, app: Flask, wanted: tuple[Source, ...]) -> None:
        self._app = app
        self._sources = wanted
        self._pollers: list[gevent.Greenlet[[Source], None]] = []

    def run(self) -> None:
        """Try to hold the lease, for as long as the process lives. Switches."""
        with self._app.app_context():
            while True:
                if not self._holds_lease():
                    gevent.killall(self._pollers)
                    self._pollers = []
                elif not self._pollers:
                    self._pollers = [gevent.spawn(self._poll_on, source) for source in self._sources]
                gevent.sleep(_BEAT_SECONDS)

    def _holds_lease(self) -> bool:
        try:
            return simulcast.hold_lease(_LEASE, _LEASE_SECONDS)
        except SimulcastError as error:
            _log.warning("No source is polled now, because the log can't be reached: %s", error)
            return False

    def _poll_on(self, source: Source) -> None:
        failures = 0
        with self._app.app_context():
            while True:
                failures = 0 if self._poll(source) else failures + 1
                gevent.sleep(wait_seconds(source.seconds, failures))

    def _poll(self, source: Source) -> bool:
        """Fetch the list of a source, and keep what is new. Tell whether that worked. Switches."""
        try:
            return self._fetched(source)
        except (SimulcastError, SQLAlchemyError) as error:  # also of the note that a source failed
            _log.warning("The records of the source %s are not kept this time: %s", source.name, error)
        except Exception:
            _log.exception("The records of the source %s are not kept this time.", source.name)
        return False

    def _fetched(self, source: Source) -> bool:
        try:
            answer = fetch(source.url)
        except SourceError as error:
            sources.failed(source.name, str(error))
            return False
        if sources.is_new(source.name, answer.digest):
            for records in _parts(source.name, answer.items):
                service.keep(records)
        sources.succeeded(source.name, answer.digest)
        return True


def init_app(app: Flask) -> None:
    """Start the scheduler, if there are sources."""
    wanted = app.config["SIMULCAST_USAGE_SOURCES"]
    if wanted:
        gevent.spawn(Scheduler(app, wanted).run)


def wait_seconds(seconds: float, failures: int) -> float:
    """Return the time until the next poll. It doubles with each failure in a row."""
    return float(min(seconds * 2 ** min(failures, 30), max(seconds, _MOST_WAIT_SECONDS)))


def _parts(source: str, items: list[Item]) -> Iterator[list[store.New]]:
    records = list(_records(source, items))
    for start in range(0, len(records), _ROWS_AT_ONCE):
        yield records[start : start + _ROWS_AT_ONCE]


def _records(source: str, items: list[Item]) -> Iterator[store.New]:
    """Yield the records of a list that lie within the time that is kept. Of two equal ones without an id, each has its own
    origin, in every list."""
    seen: Counter[tuple[object, ...]] = Counter()
    for item in items:
        created_ms = service.milliseconds(item.created_at)
        facts = (created_ms, item.credits_used, item.model) if item.id is UNSET else (item.id,)
        seen[facts] += 1
        if service.is_kept(created_ms) and item.model.isprintable():
            origin = service.origin_of("source", source, *facts, seen[facts] if item.id is UNSET else 1)
            yield store.New(item.credits_used, item.model, created_ms, origin)
