"""Passes, heartbeats, and stuck listeners."""

from __future__ import annotations

import time

import gevent
import pytest
from gevent.event import Event as Flag

from app.flask_simulcast.close_reason import CloseReason
from app.flask_simulcast.encoding.sse import SSE
from app.flask_simulcast.event import Draft
from app.flask_simulcast.hub import broadcaster
from app.flask_simulcast.hub.hub import Hub
from app.flask_simulcast.listen_request import ListenRequest
from app.flask_simulcast.listener import Listener
from app.flask_simulcast.testing import read_sse
from tests.unit.conftest import MakeHub, MakeWorld
from tests.unit.moves import look_after, make_pass, position_of, read_on, scatter, step
from tests.unit.readers import Reader, publish, settle
from tests.unit.simulation import World


def drafts(*data: object, channel: str = "c") -> list[Draft]:
    return [Draft(channel, "message", str(each)) for each in data]


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(is_quiet=True)


def live(hub: Hub, channel: str = "c", *, heartbeat_as_comment: bool = False, queue_bytes: int = 65536) -> Listener:
    listener = Listener(
        ListenRequest((channel,), SSE, heartbeat_as_comment=heartbeat_as_comment, queue_bytes=queue_bytes)
    )
    hub.add_listener(listener)
    listener.waits()
    while not listener.is_live:
        step(hub, listener)
    return listener


def queued(listener: Listener) -> bytes:
    text = b""
    while not listener._queue.is_empty:
        text += listener.take(1 << 20)
    return text


def test_what_arrives_during_a_pass_rides_on_the_next_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = world.hub
    listeners = [live(hub) for _ in range(3)]
    hub.publish(drafts(1, 2))
    arriving = [3]
    monkeypatch.setattr(broadcaster, "let_others_in", lambda: arriving and hub.publish(drafts(arriving.pop())))
    make_pass(hub)
    assert [event.data for event in read_sse(queued(listeners[0]))] == ["1", "2"]
    make_pass(hub)
    assert [event.data for event in read_sse(queued(listeners[0]))] == ["3"]
    assert [event.data for event in read_sse(queued(listeners[2]))] == ["1", "2", "3"]


def test_a_pass_over_many_small_audiences_lets_others_in_as_one_over_a_large_one_does(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = world.hub
    listeners = [live(hub, f"c{n}") for n in range(200)]
    turns: list[int] = []
    monkeypatch.setattr(broadcaster, "_LISTENERS_A_TURN", 64)
    monkeypatch.setattr(broadcaster, "let_others_in", lambda: turns.append(1))
    hub.publish([Draft(f"c{n}", "message", "1") for n in range(200)])
    make_pass(hub)
    assert len(turns) == 200 // 64
    assert all(queued(listener) for listener in listeners)
    assert hub.metrics.value("deliveries_total") == 200


class Call:
    """A call on one connection of several: notes when it is sent something."""

    def __init__(self, number: int, log: list[str]) -> None:
        self._number = number
        self._log = log

    def send_straight(self, chunk: bytes) -> bool:
        self._log.append(f"connection {self._number}")
        return True

    def woken(self) -> None:
        self._log.append("woken")


def test_calls_of_one_connection_share_a_write_in_whatever_order_they_began(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    for number in (1, 2, 1, 2, 1):
        assert live(world.hub).park(Call(number, log), line=number)
    monkeypatch.setattr(broadcaster, "_LISTENERS_A_TURN", 1)
    monkeypatch.setattr(broadcaster, "let_others_in", lambda: log.append("a turn"))
    world.hub.publish(drafts(1))
    make_pass(world.hub)
    assert log == [*["connection 1"] * 3, "a turn", *["connection 2"] * 2, "a turn"]


def test_what_arrives_in_the_pause_behind_a_pass_leaves_as_one_chunk(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcaster, "_PAUSE_AFTER_SECONDS", 0)
    is_over = Flag()
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        is_over.wait()

    hub = make_hub()
    reader = Reader(hub)
    settle()
    monkeypatch.setattr(broadcaster.gevent, "sleep", sleep)
    publish(hub, 1)
    settle()
    for number in (2, 3):
        publish(hub, number)
        settle()
    assert reader.data == ["1"]
    assert pauses[0] == broadcaster._MIN_PAUSE_SECONDS
    is_over.set()
    settle()
    assert reader.data == ["1", "2", "3"]
    assert hub.metrics.value("deliveries_total") == 2
    reader.stop()


def test_members_share_the_same_bytes(world: World) -> None:
    first, second = live(world.hub), live(world.hub)
    world.hub.publish(drafts(1, 2))
    make_pass(world.hub)
    assert first.take(1 << 20) is second.take(1 << 20)


def test_one_who_fell_behind_and_is_back_before_the_pass_reaches_it_gets_nothing_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = world.hub
    listeners = [live(hub) for _ in range(5)]
    hub.publish(drafts(1))
    texts = dict.fromkeys(listeners, b"")

    def everybody_goes_to_history_and_comes_back() -> None:
        monkeypatch.setattr(broadcaster, "let_others_in", lambda: None)
        scatter(hub)
        for listener in listeners:
            while not listener.is_live:
                texts[listener] += step(hub, listener)

    monkeypatch.setattr(broadcaster, "let_others_in", everybody_goes_to_history_and_comes_back)
    make_pass(hub)
    hub.publish(drafts(2))
    make_pass(hub)
    for listener in listeners:
        texts[listener] += queued(listener)
        assert [event.data for event in read_sse(texts[listener])] == ["1", "2"]


def test_a_log_that_is_replaced_during_a_pass_gives_no_event_of_the_old_one_after_the_gap(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, broker = world.hub, world.broker
    broker.append(drafts(0))
    backup = broker.copy()
    world.clock.advance(1)
    listeners = [live(hub) for _ in range(5)]
    hub.publish(drafts("old"))
    texts = dict.fromkeys(listeners, b"")

    def the_log_is_replaced() -> None:
        monkeypatch.setattr(broadcaster, "let_others_in", lambda: None)
        broker.restore(backup)
        read_on(hub)
        for listener in listeners:
            while not listener.is_live:
                texts[listener] += step(hub, listener)

    monkeypatch.setattr(broadcaster, "let_others_in", the_log_is_replaced)
    make_pass(hub)
    hub.publish(drafts("new"))
    make_pass(hub)
    for listener in listeners:
        texts[listener] += queued(listener)
        events = read_sse(texts[listener])
        gap = next((n for n, event in enumerate(events) if event.type == "gap"), -1)
        assert [event.data for event in events[gap + 1 :]] == ["new"]


def test_a_full_queue_sends_a_listener_to_history_and_leaves_the_others_alone(world: World) -> None:
    hub = world.hub
    slow, fast = live(hub, queue_bytes=100), live(hub)
    for n in range(5):
        hub.publish(drafts("x" * 30 + str(n)))
        make_pass(hub)
    assert not slow.is_live
    assert hub.metrics.value("overflows_total") == 1
    assert len(read_sse(queued(fast))) == 5


def test_a_pass_that_fails_loses_nothing_and_the_next_one_comes(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub = make_hub()
    first, second = Listener(ListenRequest(("c",), SSE)), Listener(ListenRequest(("c",), SSE))
    for listener in (first, second):
        hub.add_listener(listener)
        while not listener.is_live:
            step(hub, listener)

    def fails(*_: object) -> bool:
        monkeypatch.undo()
        raise RuntimeError("on purpose")

    monkeypatch.setattr(Listener, "deliver", fails)
    hub.publish(drafts(1))
    reading = [gevent.spawn(hub.next_chunk, listener) for listener in (first, second)]
    texts = [job.get(timeout=5) for job in reading]
    assert [[event.data for event in read_sse(text)] for text in texts] == [["1"], ["1"]]
    assert "A broadcast pass failed" in caplog.text


# Heartbeats


def test_a_heartbeat_tells_how_far_its_audience_is(world: World) -> None:
    hub = world.hub
    listener = live(hub)
    hub.publish(drafts(1, channel="other"))
    look_after(hub)
    (beat,) = read_sse(queued(listener))
    assert (beat.type, beat.id) == ("heartbeat", str(hub.broker.head()))
    position = position_of(hub)
    hub.publish(drafts(2))  # pending, not handed out
    look_after(hub)
    (beat,) = read_sse(queued(listener))
    assert beat.id == str(position)
    make_pass(hub)
    look_after(hub)
    assert [event.type for event in read_sse(queued(listener))] == ["message"], "there was something queued"


def test_a_heartbeat_may_be_a_comment(world: World) -> None:
    listener = live(world.hub, heartbeat_as_comment=True)
    look_after(world.hub)
    text = queued(listener)
    assert text.startswith(b":")
    assert read_sse(text) == []


def test_one_who_writes_or_catches_up_gets_no_heartbeat(world: World) -> None:
    hub = world.hub
    writing, behind = live(hub), live(hub)
    writing.writes(b"")
    behind.fall_behind()
    look_after(hub)
    assert writing._queue.is_empty
    assert queued(behind) == b""


def test_one_who_was_sent_something_lately_gets_no_heartbeat(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = live(world.hub)
    monkeypatch.setattr(world.hub._broadcaster, "_heartbeat_seconds", 15)
    look_after(world.hub)
    assert queued(listener) == b""
    listener.since = time.monotonic() - 16
    look_after(world.hub)
    assert queued(listener) != b""


def test_one_who_takes_nothing_for_too_long_is_cut(world: World) -> None:
    cuts = []
    stuck, slow = (Listener(ListenRequest(("c",), SSE), on_cut=lambda: cuts.append(True)) for _ in range(2))
    for listener in (stuck, slow):
        world.hub.add_listener(listener)
        listener.writes(b"")
    stuck.since = time.monotonic() - 61
    slow.since = time.monotonic() - 59
    for _ in range(2):
        look_after(world.hub)
    assert (stuck.close_reason, slow.close_reason, cuts) == (CloseReason.STALLED, None, [True])
