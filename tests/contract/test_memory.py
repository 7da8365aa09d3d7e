"""Promises of the log in memory beside the contract."""

from __future__ import annotations

import time

from app.flask_simulcast.brokers.memory.broker import MemoryBroker
from app.flask_simulcast.event import Draft
from app.flask_simulcast.settings import Settings
from app.flask_simulcast.testing import FakeClock


def test_a_long_log_is_swept_at_once() -> None:
    """It is cut once, not once for each event, which took 1.8 s."""
    clock = FakeClock()
    broker = MemoryBroker(Settings(history_events=1_000_000), clock)
    broker.append([Draft(f"c{n % 10}", "message", "1") for n in range(100_000)])
    broker.maintain()
    clock.advance(7200)
    began = time.process_time()
    broker.maintain()
    assert time.process_time() - began < 0.6
    assert broker.read(broker.head()).events == []


def test_what_has_expired_is_let_go() -> None:
    clock = FakeClock()
    broker = MemoryBroker(Settings(), clock)
    broker.put_text("t", "x", 30)
    broker.hold_lease("job", "me", 30)
    broker.revoke("user:ann", 1000, 30, Draft("c", "message", "1"))
    clock.advance(60)
    broker.maintain()
    agreements = broker._agreements
    assert agreements._kept == agreements._leases == agreements._revoked == {}
