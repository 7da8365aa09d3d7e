"""While the log can't be read, streams stay open, and afterwards go on where they were."""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent
import pytest

from app.flask_simulcast import BrokerUnavailableError, Grant, signals
from app.flask_simulcast.encoding.ndjson import NDJSON
from app.flask_simulcast.encoding.sse import SSE
from app.flask_simulcast.event import Draft
from app.flask_simulcast.hub import patience as patience_module
from app.flask_simulcast.hub import pump as pump_module
from app.flask_simulcast.hub.hub import Hub
from app.flask_simulcast.listen_request import ListenRequest
from app.flask_simulcast.listener import CloseReason, Listener
from app.flask_simulcast.transports.stream import Stream
from tests.unit.conftest import MakeHub
from tests.unit.far_broker import FarBroker
from tests.unit.moves import is_lost, is_running
from tests.unit.readers import Reader, settle

AWAY = 1 << 20


def away(*_: object, **__: object) -> None:
    raise BrokerUnavailableError("/var/lib/log.db is away")


@pytest.fixture(autouse=True)
def shorter_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience_module, "_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(pump_module, "_RETRY_SECONDS", 0.01)


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


def test_the_pump_tells_each_outage_once_and_reads_on_soon(make_hub: MakeHub) -> None:
    assert pump_module._RETRY_SECONDS <= 0.5
    hub = make_hub(is_far=True)
    told: list[str] = []

    def lost(sender: object, **facts: object) -> None:
        told.append("lost")

    def restored(sender: object, **facts: object) -> None:
        told.append("restored")

    with signals.broker_lost.connected_to(lost), signals.broker_restored.connected_to(restored):
        reader = Reader(hub)
        for n in range(2):
            lose(hub)
            hub.broker.append([Draft("c", "message", str(n))])
            wait_until(lambda: is_lost(hub))
            gevent.sleep(0.1)
            lose(hub, 0)
            wait_until(lambda: not is_lost(hub))
        wait_until(lambda: reader.data == ["0", "1"])
    assert told == ["lost", "restored"] * 2
    assert hub.metrics.value("broker_lost_total") == 2
    reader.stop()


def test_a_listener_that_comes_while_the_log_is_away_is_refused_and_leaves_nothing(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = make_hub(is_far=True)
    lose(hub)
    for _ in range(2):  # the pump can't begin
        with pytest.raises(BrokerUnavailableError):
            hub.add_listener(Listener(ListenRequest(("c",), SSE)))
    assert not is_running(hub)
    lose(hub, 0)
    Reader(hub).stop()
    ann = Grant(user="ann", token_id="t")
    start = str(lose(hub, 0).log.head())
    with monkeypatch.context() as patch:
        for name in ("verdict", "revoked_before"):
            patch.setattr(hub.broker, name, away)
        for listener in (
            Listener(ListenRequest(("c",), SSE, resume=start)),
            Listener(ListenRequest(("c",), SSE, grant=ann)),
        ):
            with pytest.raises(BrokerUnavailableError):
                hub.add_listener(listener)
    lose(hub)
    wait_until(lambda: is_lost(hub))
    with pytest.raises(BrokerUnavailableError):
        hub.add_listener(Listener(ListenRequest(("c",), SSE)))
    assert hub.metrics.value("listeners_refused_total", "broker_unavailable") == 1
    assert not hub.listeners and not hub._listeners._by_id and not hub._listeners._by_user
    assert hub.metrics.gauges()["listeners"] == 0
    assert hub.metrics.value("listeners_added_total") == hub.metrics.value("listener_closed_total", "client_gone") == 1


@pytest.mark.parametrize("encoding", [SSE, NDJSON])
def test_a_response_that_has_begun_says_when_to_come_back(make_hub: MakeHub, encoding: object) -> None:
    hub = make_hub(is_far=True)
    lose(hub)
    stream = Stream(hub, ListenRequest(("c",), encoding), {})  # type: ignore[arg-type]
    (chunk,) = list(stream)
    stream.close()
    assert b"broker_unavailable" in chunk and b"true" in chunk
    assert not hub.listeners
