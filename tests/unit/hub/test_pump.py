"""One path, one order: how the log is followed, lost, and found again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator

import gevent
import gevent.event
import pytest

from app.flask_simulcast import signals
from app.flask_simulcast.brokers.base import Broker
from app.flask_simulcast.brokers.memory.broker import MemoryBroker
from app.flask_simulcast.encoding.sse import SSE
from app.flask_simulcast.errors import BrokerUnavailableError
from app.flask_simulcast.event import Draft, Event, Position
from app.flask_simulcast.hub import pump as pump_module
from app.flask_simulcast.hub.announcer import Announcer
from app.flask_simulcast.hub.listeners import Listeners
from app.flask_simulcast.hub.pump import Pump
from app.flask_simulcast.listen_request import ListenRequest
from app.flask_simulcast.listener import Listener
from app.flask_simulcast.loop import let_others_in
from app.flask_simulcast.metrics import Metrics
from app.flask_simulcast.settings import Settings
from app.flask_simulcast.testing import FakeClock, read_sse
from tests.unit.conftest import MakeHub, MakeWorld
from tests.unit.far_broker import FarBroker
from tests.unit.moves import position_of


def drafts(*data: object, channel: str = "c") -> list[Draft]:
    return [Draft(channel, "message", str(each)) for each in data]


class Follower:
    """A pump on a memory log, and what it handed on."""

    def __init__(self, broker: Broker) -> None:
        self.seen: list[Event] = []
        self.batches: list[int] = []
        self.listeners = Listeners(Settings())
        self.jumps: list[Position] = []
        self.metrics = Metrics()
        announcer = Announcer("app", self.metrics)
        self.pump = Pump(broker, self.listeners, self.metrics, announcer, on_events=self._receive, on_jump=self._jumped)

    def _receive(self, events: list[Event]) -> None:
        self.seen.extend(events)
        self.batches.append(len(events))

    def _jumped(self) -> None:
        self.jumps.append(self.pump.position)


@pytest.fixture
def broker(clock: FakeClock) -> MemoryBroker:
    return MemoryBroker(Settings(history_events=2), clock)


def test_it_begins_at_the_head_and_hands_on_what_follows(broker: MemoryBroker) -> None:
    broker.append(drafts("before"))
    follower = Follower(broker)
    follower.pump.start()
    broker.append(drafts(*range(3000)))
    while follower.pump.advance():
        pass
    assert [event.data for event in follower.seen] == [str(n) for n in range(3000)]
    assert follower.pump.position == broker.head()
    follower.pump.stop()


def test_what_this_worker_has_appended_is_handed_on_unread_only_if_it_comes_next(broker: MemoryBroker) -> None:
    follower = Follower(broker)
    pump = follower.pump

    def append(*data: object) -> tuple[list[Event], Position | None, int]:
        positions = broker.append(drafts(*data))
        events = [Event(position, "c", "message", str(each)) for position, each in zip(positions, data, strict=True)]
        return events, positions.after, broker.generation

    assert not pump.take(*append(0))  # it has not started
    pump.start()
    assert pump.take(*append(1, 2))
    assert pump.position == broker.head()
    of_another = append(3)
    assert not pump.take(*append(4))
    assert not pump.take([], None, broker.generation)
    assert pump.take(*of_another)
    assert not pump.advance()  # it reads the rest
    opened_anew = append(5)
    broker.generation += 1
    assert not pump.take(*opened_anew)
    assert not pump.take(opened_anew[0], opened_anew[1], broker.generation)  # the log is not judged yet
    assert [event.data for event in follower.seen] == ["1", "2", "3", "4"]
    pump.stop()


def test_it_jumps_to_the_head_before_it_says_so(broker: MemoryBroker, clock: FakeClock) -> None:
    follower = Follower(broker)
    follower.pump.start()
    broker.append(drafts(*range(5)))
    broker.maintain()
    clock.advance(11)
    broker.maintain()
    assert follower.pump.advance()
    assert follower.seen == []
    assert follower.jumps == [broker.head()]
    assert follower.metrics.value("pump_jumps_total") == 1
    follower.pump.stop()


def test_a_log_that_was_opened_anew_and_is_the_same_makes_no_jump(broker: MemoryBroker) -> None:
    follower = Follower(broker)
    follower.pump.start()
    broker.append(drafts(1))
    broker.generation += 1
    while follower.pump.advance():
        pass
    assert (len(follower.seen), follower.jumps) == (1, [])
    follower.pump.stop()


def test_a_log_that_can_not_be_read_is_told_once_and_read_on_from_there(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = Follower(broker)
    told: list[str] = []

    def lost(sender: object, error: Exception) -> None:
        told.append(f"lost {sender} {error}")

    def restored(sender: object) -> None:
        told.append(f"restored {sender}")

    def fails(_: Position) -> None:
        raise BrokerUnavailableError("on purpose")

    monkeypatch.setattr(pump_module, "_RETRY_SECONDS", 0)
    with signals.broker_lost.connected_to(lost), signals.broker_restored.connected_to(restored):
        follower.pump.start()
        with monkeypatch.context() as patch:
            patch.setattr(broker, "read", fails)
            broker.append(drafts(1))
            for _ in range(10):
                let_others_in()
            follower.pump.catch_up()  # a publisher is not told
        for _ in range(10):
            let_others_in()
    assert told == ["lost app on purpose", "restored app"]
    assert follower.metrics.value("broker_lost_total") == 1
    assert [event.data for event in follower.seen] == ["1"]
    follower.pump.stop()


def test_one_that_fails_tries_again(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    follower = Follower(broker)
    monkeypatch.setattr(pump_module, "_RETRY_SECONDS", 0)

    def fails(_: Position) -> None:
        raise ZeroDivisionError("on purpose")

    follower.pump.start()
    with monkeypatch.context() as patch:
        patch.setattr(broker, "read", fails)
        broker.append(drafts(1))
        for _ in range(5):
            let_others_in()
    for _ in range(5):
        let_others_in()
    assert "The pump failed" in caplog.text
    assert [event.data for event in follower.seen] == ["1"]
    follower.pump.stop()


# Where reads switch


class FarFollower(Follower):
    """Of a log whose reads let ``meanwhile`` happen: once, before they ask, or after."""

    def __init__(self, clock: FakeClock) -> None:
        self.far = FarBroker(Settings(history_events=2), clock, self._turn)
        self.meanwhile: Callable[[], object] | None = None
        self.in_turns = 0
        super().__init__(self.far)

    def _turn(self) -> None:
        self.in_turns -= 1
        if self.in_turns == 0 and self.meanwhile is not None:
            self.meanwhile()

    def during(self, act: Callable[[], object], *, is_before: bool = False) -> None:
        self.meanwhile, self.in_turns = act, 1 if is_before else 2

    def read_all(self) -> list[str]:
        while self.pump.advance():
            pass
        return [event.data for event in self.seen]


@pytest.fixture
def far(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[FarFollower]:
    far = FarFollower(clock)
    monkeypatch.setattr(far.pump, "_run", lambda: None)  # its greenlet is the test
    far.far.append(drafts("before"))
    far.pump.start()
    yield far
    far.pump.stop()


def test_only_the_pump_itself_reads_when_reads_switch(far: FarFollower) -> None:
    """Two greenlets would hand on the same events."""
    far.far.append(drafts(1, 2))
    far.during(far.pump.catch_up)
    assert far.read_all() == ["1", "2"]


@pytest.mark.parametrize("is_before", [False, True])
def test_what_was_read_while_the_log_was_opened_anew_is_judged_first(far: FarFollower, is_before: bool) -> None:
    backup = far.far.copy()
    far.far.append(drafts("lost"))
    far.read_all()

    def restore() -> None:
        far.far.restore(backup)
        far.far.append(drafts("new"))

    far.far.append(drafts("lost, too"))
    far.during(restore, is_before=is_before)
    assert far.read_all() == ["lost"], "the rest is for the verdict of each listener"
    assert far.jumps == [far.far.log.head()]


def test_a_judgement_that_fails_is_still_owed(far: FarFollower) -> None:
    backup = far.far.copy()
    far.far.append(drafts("lost"))
    far.read_all()
    far.far.restore(backup)
    far.far.fails = 1
    with pytest.raises(BrokerUnavailableError):
        far.pump.advance()
    assert not far.pump.is_sure
    far.read_all()
    assert len(far.jumps) == 1 and far.pump.is_sure


def test_a_listener_that_joins_during_a_jump_is_sent_back_with_the_rest(make_world: MakeWorld) -> None:
    world = make_world(is_far=True, is_quiet=True)
    hub, broker = world.hub, world.broker
    assert isinstance(broker, FarBroker)
    backup = broker.copy()
    broker.append(drafts("lost"))
    hub.add_listener(Listener(ListenRequest(("other",), SSE)))
    joined, added = Listener(ListenRequest(("c",), SSE)), Listener(ListenRequest(("c",), SSE))
    hub.add_listener(joined)
    broker.restore(backup)
    asked = 0

    def meanwhile() -> None:
        nonlocal asked
        asked += 1
        if asked == 4:  # after the verdict, and after the head was asked for
            hub._switchboard.join(joined)
            hub.add_listener(added)

    broker.switch = meanwhile
    world.read_on()
    assert position_of(hub) == broker.log.head()
    for listener in (joined, added):
        assert not listener.is_live and listener.needs_verdict


def test_a_large_batch_that_was_published_here_is_read_to_its_end_at_once(make_hub: MakeHub) -> None:
    """No process rings this worker's own bell: what is not read now waits for the slow poll, 250 ms for each 1024."""
    hub = make_hub()
    hub.add_listener(Listener(ListenRequest(("c",), SSE)))
    events = hub.publish(drafts(*range(3000)))
    assert position_of(hub) == events[-1].position


def test_a_log_handler_that_switches_doubles_and_loses_nothing(
    make_hub: MakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    """A view raises; its line goes to a handler that writes to the network; meanwhile others publish."""

    class ToTheNetwork(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "could not take" in record.msg:
                let_others_in()

    def fails_now_and_then(event: Event) -> Event:
        if event.data == "2":
            raise ValueError("on purpose")
        return event

    hub = make_hub()
    listeners = [Listener(ListenRequest(("c",), SSE, view=view)) for view in (None, fails_now_and_then, None)]
    texts = dict.fromkeys(listeners, b"")

    def read(listener: Listener) -> None:
        while chunk := hub.next_chunk(listener):
            texts[listener] += chunk

    for listener in listeners:
        hub.add_listener(listener)
    jobs = [gevent.spawn(read, listener) for listener in listeners]
    while not all(listener.is_live for listener in listeners):
        let_others_in()
    handler = ToTheNetwork()
    logging.getLogger("flask_simulcast").addHandler(handler)
    try:
        publishers = [gevent.spawn(hub.publish, drafts(n)) for n in range(10)]
        for _ in range(30):
            let_others_in()
        gevent.joinall(publishers, timeout=5, raise_error=True)
    finally:
        logging.getLogger("flask_simulcast").removeHandler(handler)
    for listener in list(listeners):
        hub.remove_listener(listener)
    gevent.joinall(jobs, timeout=5, raise_error=True)
    everything = [str(n) for n in range(10)]
    for listener, text in texts.items():
        got = [event.data for event in read_sse(text) if event.type == "message"]
        assert got == (everything if listener.view is None else [n for n in everything if n != "2"])


class Rung(MemoryBroker):
    """A log of another process, which names the channels that grow."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(Settings(), clock)
        self.grown: set[str] = set()

    def publish(self, *data: object, channel: str = "c") -> None:
        self.grown.add(channel)
        self.append(drafts(*data, channel=channel))

    def wait(self, seconds: float) -> Collection[str] | None:
        if not self.grown:
            super().wait(seconds)
        grown, self.grown = self.grown, set()
        return grown or None


@pytest.fixture
def rung(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Rung, Follower]]:
    """A pump that leaves alone what is unheard until the test has ended, with a listener on ``c``."""
    monkeypatch.setattr(pump_module, "_POLL_SECONDS", 60)
    monkeypatch.setattr(pump_module, "_UNHEARD_SECONDS", 60)
    broker = Rung(clock)
    follower = Follower(broker)
    follower.listeners.add(Listener(ListenRequest(("c",), SSE)))
    follower.pump.start()
    let_others_in()
    yield broker, follower
    follower.pump.stop()


def read_until(follower: Follower, *data: str) -> None:
    with gevent.Timeout(5):
        while [event.data for event in follower.seen] != list(data):
            let_others_in()


def test_what_no_listener_here_hears_is_read_with_what_one_hears(rung: tuple[Rung, Follower]) -> None:
    broker, follower = rung
    for number in range(3):
        broker.publish(number, channel="other")
        gevent.sleep(0.01)
    assert follower.seen == []
    broker.publish(3)
    read_until(follower, "0", "1", "2", "3")


def test_what_no_listener_here_hears_is_read_after_a_while(
    rung: tuple[Rung, Follower], monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, follower = rung
    monkeypatch.setattr(pump_module, "_UNHEARD_SECONDS", 0.02)
    broker.publish(1, channel="other")
    read_until(follower, "1")


def test_a_ring_without_names_is_heard(rung: tuple[Rung, Follower]) -> None:
    broker, follower = rung
    broker.append(drafts(1, channel="other"))
    read_until(follower, "1")


def test_frequent_events_are_read_several_at_once(broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock that the pump waits by is the test's, so that a busy machine changes nothing."""
    monkeypatch.setattr(pump_module, "_FREQUENT_SECONDS", 60)
    is_over = gevent.event.Event()
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        is_over.wait()

    monkeypatch.setattr(gevent, "sleep", sleep)
    follower = Follower(broker)
    follower.pump.start()
    broker.append(drafts(1))
    read_until(follower, "1")
    for number in (2, 3, 4):
        broker.append(drafts(number))
        let_others_in()
    assert (follower.batches, waits) == ([1], [pump_module._JOIN_SECONDS])
    is_over.set()
    read_until(follower, "1", "2", "3", "4")
    follower.pump.stop()
    assert follower.batches == [1, 3]
