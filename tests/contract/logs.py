"""Short forms of what the tests of a broker do with its log, and beside it."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import gevent

from app.flask_simulcast.brokers.base import Broker
from app.flask_simulcast.event import Draft, Event, Position
from app.flask_simulcast.loop import is_patched
from tests.tools.redis_server import Redis

BEFORE_ALL = Position(0, 0)


def draft(data: object = 1, channel: str = "c", key: str | None = None) -> Draft:
    return Draft(channel, "message", f'"{data}"', key)


def read_all(broker: Broker, after: Position = BEFORE_ALL) -> list[Event]:
    """Read all events after a position, as a pump does."""
    events: list[Event] = []
    while batch := broker.read(after).events:
        events += batch
        after = batch[-1].position
    return events


def together(count: int, function: Callable[[int], None]) -> None:
    """Run a function this many times at once, in greenlets or threads."""
    if is_patched():
        gevent.joinall([gevent.spawn(function, number) for number in range(count)], raise_error=True, timeout=60)
        return
    threads = [threading.Thread(target=function, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def shell(path: Path) -> sqlite3.Connection:
    """Open the file like an sqlite3 shell, which does not take the write lock."""
    return sqlite3.connect(path, isolation_level=None, timeout=0)


def reconnect(broker: Broker) -> None:
    """Make the broker connect again, after a moment: an earlier call would notice the killed server only by a lost answer."""
    time.sleep(0.3)
    broker.head()


def calls_of(server: Redis) -> int:
    """Return the number of scripts that a Redis has run."""
    facts = server.facts("commandstats")
    return sum(
        int(text.split("calls=")[1].split(",")[0]) for name, text in facts.items() if name.startswith("cmdstat_eval")
    )
