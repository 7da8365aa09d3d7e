"""While the log can't be read, the outage is told once, and a new listener is told to come back."""

from __future__ import annotations

import gevent
import pytest

from app.flask_simulcast import BrokerUnavailableError, Grant, signals
from app.flask_simulcast.encoding.ndjson import NDJSON
from app.flask_simulcast.encoding.sse import SSE
from app.flask_simulcast.event import Draft
from app.flask_simulcast.hub import pump as pump_module
from app.flask_simulcast.listen_request import ListenRequest
from app.flask_simulcast.listener import Listener
from app.flask_simulcast.transports.stream import Stream
from tests.unit.conftest import MakeHub
from tests.unit.moves import is_lost, is_running
from tests.unit.outages import lose, wait_until
from tests.unit.readers import Reader


def away(*_: object, **__: object) -> None:
    raise BrokerUnavailableError("/var/lib/log.db is away")


@pytest.fixture(autouse=True)
def shorter_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "_RETRY_SECONDS", 0.01)


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


def test_a_worker_is_ready_once_its_listeners_can_read_again(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log answers earlier, on another connection; a load balancer must not send streams to a worker that refuses them."""
    hub = make_hub(is_far=True)
    reader = Reader(hub)
    assert hub.readable_head() == hub.broker.head()
    monkeypatch.setattr(pump_module, "_RETRY_SECONDS", 0.5)
    lose(hub)
    hub.broker.append([Draft("c", "message", "1")])
    wait_until(lambda: is_lost(hub))
    lose(hub, 0)
    assert hub.broker.head()
    with pytest.raises(BrokerUnavailableError):
        hub.readable_head()
    wait_until(lambda: not is_lost(hub))
    assert hub.readable_head() == hub.broker.head()
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
