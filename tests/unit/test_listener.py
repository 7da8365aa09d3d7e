"""A listener's queue: bounded, thrown away when full, never ahead of what was handed out."""

from __future__ import annotations

from collections.abc import Callable

import gevent
import pytest

from app.flask_simulcast.close_reason import CloseReason
from app.flask_simulcast.encoding.sse import SSE
from app.flask_simulcast.event import Position
from app.flask_simulcast.listen_request import ListenRequest
from app.flask_simulcast.listener import Listener


def live(queue_bytes: int = 100, at: int = 0) -> Listener:
    listener = Listener(ListenRequest(("c",), SSE, queue_bytes=queue_bytes))
    listener.go_live(Position(at, 0))
    return listener


def test_all_that_is_queued_leaves_as_one_chunk_up_to_the_limit() -> None:
    listener = live()
    for n in range(1, 6):
        assert listener.deliver(b"x" * 10, Position(n, 0))
    assert listener.take(35) == b"x" * 30
    assert listener.position == Position(3, 0)
    assert listener.take(35) == b"x" * 20
    assert listener.position == Position(5, 0)


def test_a_full_queue_is_thrown_away_and_the_listener_catches_up_from_what_it_yielded() -> None:
    listener = live(queue_bytes=25)
    listener.deliver(b"x" * 10, Position(1, 0))
    assert listener.take(100) == b"x" * 10
    assert listener.deliver(b"y" * 10, Position(2, 0))
    assert listener.deliver(b"z" * 15, Position(3, 0))
    assert not listener.deliver(b"!", Position(4, 0))
    assert (listener.is_live, listener.position) == (False, Position(1, 0))
    assert listener.take(100) == b"", "woken, with nothing to send"
    assert listener.deliver(b"?", Position(5, 0)), "passed over: it reads history"


def test_an_empty_queue_takes_any_chunk() -> None:
    listener = live(queue_bytes=5)
    assert listener.deliver(b"x" * 50, Position(1, 0))
    assert listener.take(10) == b"x" * 50


def test_two_large_chunks_do_not_send_it_back_to_history() -> None:
    listener = live(queue_bytes=5)
    assert listener.deliver(b"x" * 50, Position(1, 0))
    assert listener.deliver(b"y" * 50, Position(2, 0))
    assert not listener.deliver(b"z", Position(3, 0))
    assert not listener.is_live


def test_what_it_has_read_in_history_is_not_delivered_again() -> None:
    listener = live(at=7)
    listener.deliver(b"old", Position(7, 0))
    listener.deliver(b"new", Position(8, 0))
    assert listener.take(100) == b"new"


def test_a_heartbeat_comes_only_to_one_who_waits_with_nothing_queued() -> None:
    listener = live()
    listener.deliver(b"x", Position(1, 0))
    listener.deliver_heartbeat(b"beat", Position(9, 0))
    assert listener.take(100) == b"x"
    listener.writes(b"y")
    listener.deliver_heartbeat(b"beat", Position(9, 0))
    listener.waits()
    listener.deliver_heartbeat(b"beat", Position(10, 0))
    assert listener.take(100) == b"beat"
    assert listener.position == Position(10, 0)
    listener.fall_behind()
    listener.deliver_heartbeat(b"beat", Position(11, 0))
    assert listener.take(100) == b""


@pytest.mark.parametrize(
    "end", [lambda listener: listener.close(CloseReason.DRAINING), lambda listener: listener.fall_behind()]
)
def test_one_who_waits_is_woken(end: object) -> None:
    listener = live()
    waiting = gevent.spawn(listener.take, 100)
    gevent.sleep(0)
    end(listener)  # type: ignore[operator]
    assert waiting.get(timeout=1) == b""


def test_the_first_close_reason_stays_and_nothing_queued_is_sent() -> None:
    listener = live()
    listener.deliver(b"x", Position(1, 0))
    assert listener.close(CloseReason.REVOKED)
    assert not listener.close(CloseReason.CLIENT_GONE)
    assert listener.close_reason is CloseReason.REVOKED
    assert listener.take(100) == b""


def test_reasons_say_whether_to_come_back() -> None:
    assert {reason.value for reason in CloseReason if not reason.reconnect} == {
        "expired",
        "revoked",
        "deadline",
        "finished",
    }


def test_listeners_that_want_the_same_share_a_key() -> None:
    assert live().audience_key == live().audience_key
    assert Listener(ListenRequest(("c",), SSE, view=str)).audience_key != live().audience_key  # type: ignore[arg-type]


# Parked: no greenlet takes chunks, they go straight to the connection


def test_a_parked_listener_is_handed_chunks_without_a_queue() -> None:
    listener, sent = parked(lambda: True)
    assert listener.deliver(b"a", Position(2, 0), 3)
    assert (sent, listener.position, listener.events, listener.bytes) == ([b"a"], Position(2, 0), 3, 1)
    assert listener.is_idle
    listener.deliver_heartbeat(b"h", Position(3, 0))
    assert (sent, listener.position) == ([b"a", b"h"], Position(3, 0))


def test_a_chunk_that_does_not_go_sends_a_parked_listener_back_to_history() -> None:
    room = [True, False]
    woken: list[str] = []
    listener, sent = parked(lambda: room.pop(0), woken)
    assert listener.deliver(b"a", Position(2, 0))
    assert not listener.deliver(b"b", Position(3, 0))
    assert (listener.is_live, listener.position, woken) == (False, Position(2, 0), ["woken"])
    listener.go_live(Position(3, 0))
    assert listener.deliver(b"c", Position(4, 0))
    assert sent == [b"a", b"b"], "it is queued again"
    assert listener.take(10) == b"c"


def test_a_listener_without_a_straight_way_is_woken_for_each_chunk_and_takes_it_itself() -> None:
    woken: list[str] = []
    listener = live()
    sending = Sending(lambda: True, woken)
    for number in (1, 2):
        assert listener.park(sending, is_straight=False)
        assert listener.is_parked
        listener.deliver(b"a", Position(2 * number, 0))
        listener.deliver(b"b", Position(2 * number + 1, 0))
        assert (woken, listener.is_parked) == (["woken"] * number, False)
        assert (listener.take(10), listener.position) == (b"ab", Position(2 * number + 1, 0))
    listener.park(sending, is_straight=False)
    listener.deliver_heartbeat(b"h", Position(9, 0))
    assert (len(woken), listener.take(10)) == (3, b"h")
    listener.park(sending, is_straight=False)
    listener.close(CloseReason.KICKED)
    assert (len(woken), sending.sent) == (4, [])


def test_the_end_of_a_parked_listener_wakes_who_parked_it_once() -> None:
    woken: list[str] = []
    listener, _ = parked(lambda: True, woken)
    listener.close(CloseReason.KICKED)
    listener.close(CloseReason.DRAINING)
    assert woken == ["woken"]


def test_a_listener_with_something_to_take_is_not_parked() -> None:
    listener = Listener(ListenRequest(("a",), SSE))
    assert not listener.park(Sending(lambda: True)), "it is catching up"
    listener.go_live(Position(1, 0))
    listener.deliver(b"a", Position(2, 0))
    assert not listener.park(Sending(lambda: True))
    listener.take(10)
    assert listener.park(Sending(lambda: True))


class Sending:
    """Sends for a parked listener: records what it is given."""

    def __init__(self, has_room: Callable[[], bool], woken: list[str] | None = None) -> None:
        self.sent: list[bytes] = []
        self._has_room = has_room
        self._woken = [] if woken is None else woken

    def send_straight(self, chunk: bytes) -> bool:
        self.sent.append(chunk)
        return self._has_room()

    def woken(self) -> None:
        self._woken.append("woken")


def parked(has_room: Callable[[], bool], woken: list[str] | None = None) -> tuple[Listener, list[bytes]]:
    """Return a parked listener at position 1, and a record of its sends."""
    sending = Sending(has_room, woken)
    listener = Listener(ListenRequest(("a",), SSE))
    listener.go_live(Position(1, 0))
    assert listener.park(sending)
    return listener, sending.sent
