"""A listener that catches up waits while the log can't be read, and afterwards goes on where it was."""

from __future__ import annotations

import time

import gevent
import pytest

from app.flask_simulcast.close_reason import CloseReason
from app.flask_simulcast.event import Draft
from app.flask_simulcast.hub import patience as patience_module
from app.flask_simulcast.hub import pump as pump_module
from app.flask_simulcast.hub.hub import Hub
from tests.unit.conftest import MakeHub
from tests.unit.moves import is_lost
from tests.unit.outages import lose, wait_until
from tests.unit.readers import Reader, settle


@pytest.fixture(autouse=True)
def shorter_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience_module, "_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(pump_module, "_RETRY_SECONDS", 0.01)


def one_behind(hub: Hub) -> tuple[Reader, Reader]:
    """A listener that has to read history, of a log that goes away right after it was taken on; and one that is live."""
    first, *_ = hub.broker.append([Draft("c", "message", str(n)) for n in range(5)])
    live = Reader(hub)  # the pump begins behind them
    settle()
    reader = Reader(hub, resume=str(first))
    lose(hub)
    return reader, live


def stop(*readers: Reader) -> None:
    for reader in readers:
        reader.stop()


def test_one_who_is_catching_up_stays_with_heartbeats_and_goes_on_when_the_log_is_back(make_hub: MakeHub) -> None:
    hub = make_hub(is_far=True, heartbeat_seconds=0.1)
    reader, live = one_behind(hub)
    began = time.monotonic()
    wait_until(lambda: reader.bytes.count(b":\n") >= 3)
    assert time.monotonic() - began > 0.25
    assert reader.listener.close_reason is None
    assert is_lost(hub)
    lose(hub, 0)
    wait_until(lambda: reader.listener.is_live)
    assert reader.data == ["1", "2", "3", "4"]
    assert reader.listener.unread_since is None
    stop(reader, live)


def test_thousands_that_wait_do_not_ask_while_the_pump_knows_better(make_hub: MakeHub) -> None:
    hub = make_hub(is_far=True)
    reader, live = one_behind(hub)
    wait_until(lambda: is_lost(hub) and reader.listener.unread_since)
    broker = lose(hub)
    asked = broker.asked["page"]
    gevent.sleep(0.15)
    assert broker.asked["page"] <= asked + 1
    stop(reader, live)


def test_one_that_could_not_read_for_as_long_as_a_stalled_client_is_given_is_sent_elsewhere(make_hub: MakeHub) -> None:
    hub = make_hub(is_far=True, heartbeat_seconds=0.1, stall_seconds=1)
    reader, live = one_behind(hub)
    wait_until(lambda: reader.greenlet.dead)
    assert reader.listener.close_reason is CloseReason.BROKER_LOST
    assert CloseReason.BROKER_LOST.reconnect
    assert live.listener.close_reason is None, "one who is live misses nothing yet"
    assert "heartbeat" in [event.type for event in live.events]
    lose(hub, 0)
    live.stop()


def test_one_that_waits_for_the_log_ends_at_once_when_it_is_closed(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience_module, "_RETRY_SECONDS", 60)
    hub = make_hub(is_far=True)
    reader, live = one_behind(hub)
    wait_until(lambda: reader.listener.unread_since)
    gevent.sleep(0.01)
    began = time.monotonic()
    hub.drain()
    assert time.monotonic() - began < 1
    for each in (reader, live):
        assert each.listener.close_reason is CloseReason.DRAINING
        each.greenlet.join(timeout=1)
        assert each.greenlet.dead
