"""Taking a listener on, where that switches: limits hold, one pump begins, and whatever befalls it meanwhile leaves nothing."""

from __future__ import annotations

from collections.abc import Callable

import gevent
import pytest

from app.flask_simulcast import BrokerUnavailableError, Grant, signals
from app.flask_simulcast.close_reason import CloseReason
from app.flask_simulcast.encoding.sse import SSE
from app.flask_simulcast.errors import DrainingError, ListenerLimitError, TooManyListenersError
from app.flask_simulcast.event import LISTENER_PREFIX, Draft
from app.flask_simulcast.hub.hub import Hub
from app.flask_simulcast.listen_request import ListenRequest
from app.flask_simulcast.listener import Listener
from app.flask_simulcast.loop import let_others_in
from app.flask_simulcast.testing import read_sse
from tests.unit.conftest import MakeHub
from tests.unit.far_broker import FarBroker
from tests.unit.moves import is_running, look_after, scatter
from tests.unit.readers import settle


def held_up(hub: Hub) -> gevent.event.Event:
    """From now on reads wait for this."""
    assert isinstance(hub.broker, FarBroker)
    gate = gevent.event.Event()
    hub.broker.switch = gate.wait
    return gate


def come(hub: Hub, **options: object) -> tuple[Listener, gevent.Greenlet[[Listener], bytes]]:
    listener = Listener(ListenRequest(("c",), SSE, **options))  # type: ignore[arg-type]
    return listener, gevent.spawn(hub.add_listener, listener)


def test_listeners_that_come_at_once_begin_one_pump(make_hub: MakeHub) -> None:
    hub = make_hub(is_far=True)
    broker = hub.broker
    assert isinstance(broker, FarBroker)
    started: list[object] = []
    start, register = hub._broadcaster.start, hub._place_reporter.start
    hub._broadcaster.start = lambda: (started.append("broadcaster"), start())  # type: ignore[assignment,method-assign,func-returns-value]
    hub._place_reporter.start = lambda: (started.append("register"), register())  # type: ignore[assignment,method-assign,func-returns-value]
    jobs = [come(hub)[1] for _ in range(100)]
    gevent.joinall(jobs, timeout=5, raise_error=True)
    assert started == ["broadcaster", "register"]
    assert broker.asked["head"] == 1
    assert len(hub.listeners) == 100


def test_a_pump_that_can_not_begin_is_tried_again_by_the_next_one(make_hub: MakeHub) -> None:
    hub = make_hub(is_far=True)
    assert isinstance(hub.broker, FarBroker)
    hub.broker.fails = 1
    jobs = [come(hub)[1] for _ in range(10)]
    gevent.joinall(jobs, timeout=5)
    assert all(isinstance(job.exception, BrokerUnavailableError) for job in jobs)
    assert not hub.listeners
    hub.add_listener(Listener(ListenRequest(("c",), SSE)))
    assert is_running(hub)


def test_a_hub_that_is_closed_while_its_pump_begins_stays_closed(make_hub: MakeHub) -> None:
    hub = make_hub(is_far=True)
    gate = held_up(hub)
    jobs = [come(hub)[1] for _ in range(3)]
    let_others_in()
    hub.close()
    gate.set()
    gevent.joinall(jobs, timeout=5)
    assert all(isinstance(job.exception, DrainingError) for job in jobs)
    with pytest.raises(DrainingError):
        hub.add_listener(Listener(ListenRequest(("c",), SSE)))
    assert not hub.listeners and not is_running(hub)


@pytest.mark.parametrize(
    ("settings", "options", "refused"),
    [
        ({"max_listeners": 5}, {}, ListenerLimitError),
        ({"max_listeners_per_user": 5}, {"grant": Grant(user="ann")}, TooManyListenersError),
        ({"max_listeners_per_address": 5}, {"address": "192.0.2.1"}, TooManyListenersError),
    ],
)
def test_a_limit_holds_for_listeners_that_come_at_once(
    make_hub: MakeHub, settings: dict[str, int], options: dict[str, object], refused: type[Exception]
) -> None:
    hub = make_hub(is_far=True, **settings)
    resume = str(hub.broker.head())
    jobs = [come(hub, resume=resume, **options)[1] for _ in range(20)]
    gevent.joinall(jobs, timeout=5)
    assert [type(job.exception) for job in jobs] == [type(None)] * 5 + [refused] * 15
    assert len(hub.listeners) == 5
    for listener in list(hub.listeners):
        hub.remove_listener(listener)
    assert not hub._listeners._by_id and not hub._listeners._by_user and not hub._listeners._by_address
    hub.add_listener(Listener(ListenRequest(("c",), SSE, **options)))  # type: ignore[arg-type]


class Half:
    """A listener half-way: it has its place, and its verdict is being asked for."""

    def __init__(self, hub: Hub) -> None:
        self.told: list[str] = []
        self.start = hub.publish([Draft("c", "message", "0")])[0].position
        hub.add_listener(Listener(ListenRequest(("c",), SSE)))
        self.gate = held_up(hub)
        self.listener, self.job = come(hub, resume=str(self.start), grant=Grant(user="ann"))
        let_others_in()
        assert self.listener in hub.listeners and not self.listener.is_known
        self.signals = (signals.listener_added, signals.listener_closed, signals.listener_removed)
        for signal in self.signals:
            signal.connect(self._hear)

    def _hear(self, sender: object, listener: Listener, **facts: object) -> None:
        if listener is self.listener:
            self.told.append("heard")

    def finish(self) -> bytes:
        self.gate.set()
        return self.job.get(timeout=5)


@pytest.fixture
def half(make_hub: MakeHub) -> tuple[Hub, Half]:
    hub = make_hub(is_far=True)
    return hub, Half(hub)


def test_one_that_is_killed_half_way_gives_its_place_back_without_a_signal(half: tuple[Hub, Half]) -> None:
    hub, one = half
    one.job.kill()
    assert len(hub.listeners) == 1
    assert not one.told and not hub._place_reporter._gone and one.listener not in hub._place_reporter._come
    assert hub.metrics.gauges()["listeners"] == 1
    one.gate.set()


def test_a_listener_that_another_greenlet_removes_half_way_is_gone(half: tuple[Hub, Half]) -> None:
    hub, one = half
    hub.remove_listener(one.listener)
    assert read_sse(one.finish())[0].type == "connected"
    assert one.listener not in hub.listeners and not one.told and not hub._place_reporter._gone
    assert hub.metrics.value("listener_closed_total", "client_gone") == 0
    assert hub.next_chunk(one.listener) == b""


@pytest.mark.parametrize(
    ("befalls", "reason"),
    [
        (lambda hub, one: one.close(CloseReason.DRAINING), CloseReason.DRAINING),
        (lambda hub, one: hub.control.kick(one.id, reconnect=True), CloseReason.KICKED),
        (lambda hub, one: hub.control.revoke_user("ann", 1 << 50, 60), CloseReason.REVOKED),
        (lambda hub, one: setattr(one, "expires_at", 0), CloseReason.EXPIRED),
    ],
)
def test_one_that_is_closed_half_way_is_told(
    half: tuple[Hub, Half], befalls: Callable[[Hub, Listener], object], reason: CloseReason
) -> None:
    hub, one = half
    befalls(hub, one.listener)
    look_after(hub)
    one.gate.set()
    settle()
    one.finish()
    assert one.listener.close_reason is reason
    assert hub.next_chunk(one.listener) == b""
    hub.remove_listener(one.listener)
    assert hub.metrics.value("listener_closed_total", reason.value) == 1


def test_half_way_neither_a_scatter_nor_an_event_for_it_alone_nor_a_new_lease_does_harm(half: tuple[Hub, Half]) -> None:
    hub, one = half
    scatter(hub)
    hub.publish([Draft(LISTENER_PREFIX + one.listener.id, "message", "1"), Draft("user:ann", "message", "2")])
    hub._place_reporter._begin_anew()
    assert one.listener not in hub._place_reporter._come, "its place would never be given back"
    look_after(hub)
    text = one.finish()
    while not one.listener.is_live:
        text += hub.next_chunk(one.listener, waits=False)
    assert [(event.type, event.data[:5]) for event in read_sse(text)[1:]] == [("message", "1"), ("message", "2")]
