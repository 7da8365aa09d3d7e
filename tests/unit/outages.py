"""A log that can't be read for a time, and a wait for a condition."""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent

from app.flask_simulcast.hub.hub import Hub
from tests.unit.far_broker import FarBroker

AWAY = 1 << 20


def lose(hub: Hub, reads: int = AWAY) -> FarBroker:
    """Let a number of reads fail from now on."""
    broker = hub.broker
    assert isinstance(broker, FarBroker)
    broker.fails = reads
    broker.log.close()  # its bell: the pump finds out at once
    return broker


def wait_until(is_so: Callable[[], object], seconds: float = 3) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "that took too long"
        gevent.sleep(0.002)
