"""Which audiences and channels a worker has: made with their first listener, removed with their last one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from app.flask_simulcast.encoding.sse import SSE
from app.flask_simulcast.event import Event, Position
from app.flask_simulcast.hub.pump import Pump
from app.flask_simulcast.hub.switchboard import Switchboard
from app.flask_simulcast.listen_request import ListenRequest
from app.flask_simulcast.listener import Listener


@pytest.fixture
def pump() -> SimpleNamespace:
    return SimpleNamespace(position=Position(5, 0))


@pytest.fixture
def board(pump: SimpleNamespace) -> Switchboard:
    return Switchboard(cast("Pump", pump))


def listener(*channels: str) -> Listener:
    return Listener(ListenRequest(channels, SSE))


def offer(board: Switchboard, channel: str, position: int) -> None:
    board.channels[channel].notify(Event(Position(position, 0), channel, "message", "1"))


def test_listeners_with_one_key_share_an_audience_and_the_last_one_takes_it_away(board: Switchboard) -> None:
    one, other, alone = listener("a", "b"), listener("a", "b"), listener("b")
    for each in (one, other, alone):
        board.join(each)
    assert len(board.audiences) == 2
    assert set(board.channels) == {"a", "b", "all"}
    board.leave(one)
    assert len(board.audiences) == 2
    board.leave(other)
    assert set(board.channels) == {"b", "all"}
    board.leave(alone)
    assert board.audiences == {} == board.channels


def test_listener_that_never_joined_may_leave(board: Switchboard) -> None:
    board.leave(listener("a"))
    assert board.channels == {}


def test_goal_is_what_the_audience_has_handed_out(board: Switchboard, pump: SimpleNamespace) -> None:
    member, late = listener("a"), listener("a")
    assert board.goal(late) == Position(5, 0)
    board.join(member)
    offer(board, "a", 6)
    pump.position = Position(6, 0)
    assert board.goal(late) == Position(5, 0), "the event of 6 is pending"
    (audience,) = board.take_pending()
    audience.take(pump.position)
    assert board.goal(late) == Position(6, 0)
    board.leave(member)


def test_audience_is_pending_once_a_pass(board: Switchboard) -> None:
    member = listener("a")
    board.join(member)
    assert not board.pass_due.is_set()
    offer(board, "a", 6)
    offer(board, "a", 7)
    assert board.pass_due.is_set()
    assert len(board.take_pending()) == 1
    assert board.take_pending() == []
    board.leave(member)


def test_scattered_board_has_no_member_and_nothing_pending(board: Switchboard) -> None:
    for member in (listener("a"), listener("b")):
        board.join(member)
    offer(board, "a", 6)
    board.scatter()
    assert board.audiences == {} == board.channels
    assert not any(audience.pending or audience.members for audience in board.take_pending())
