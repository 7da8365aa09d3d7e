"""Audiences, channels, signals: how an event finds its listeners."""

from __future__ import annotations

import pytest

from app.flask_simulcast import signals
from app.flask_simulcast.audience import Audience
from app.flask_simulcast.channel import Channel
from app.flask_simulcast.encoding.sse import SSE
from app.flask_simulcast.event import Event, Position, View
from app.flask_simulcast.listen_request import ListenRequest
from app.flask_simulcast.listener import Listener
from app.flask_simulcast.loop import let_others_in


def event(n: int, data: str = "1") -> Event:
    return Event(Position(n, 0), "c", "message", data)


def audience(view: View | None = None, at: int = 0) -> tuple[Audience, list[Audience]]:
    pending: list[Audience] = []
    return Audience(("c",), SSE, view, Position(at, 0), pending.append), pending


def test_it_says_once_that_something_is_pending_and_gives_all_as_one() -> None:
    one, pending = audience()
    one.members[Listener(ListenRequest(("c",), SSE))] = None
    one.offer(event(1))
    one.offer(event(2))
    assert pending == [one]
    members, chunk, events, own = one.take(Position(2, 0))
    assert members == list(one.members)
    assert (chunk.count(b"data: 1"), events, own) == (2, 2, [])
    one.offer(event(3))
    assert pending == [one, one]


def test_it_stands_at_what_it_handed_out_while_something_is_pending_and_with_the_hub_else() -> None:
    one, _ = audience(at=5)
    assert one.position(Position(9, 0)) == Position(9, 0)
    one.stand_at(Position(9, 0))
    one.offer(event(10))
    assert one.position(Position(10, 0)) == Position(9, 0)
    one.take(Position(10, 0))
    one.stand_at(Position(10, 0))
    one.offer(event(11))
    assert one.position(Position(12, 0)) == Position(10, 0)


def test_a_view_drops_and_narrows() -> None:
    def view(event: Event) -> Event | None:
        return None if event.data == "secret" else Event(event.position, event.channel, event.type, '"less"')

    one, pending = audience(view)
    one.offer(event(1, "secret"))
    assert not pending
    one.offer(event(2, '"more"'))
    assert one.pending == [SSE.event(event(2, '"less"'))]


def test_a_channel_notifies_its_audiences_and_is_empty_without() -> None:
    channel = Channel("c")
    (one, _), (two, _) = audience(), audience()
    channel.add(one)
    channel.add(two)
    assert channel.notify(event(1)) == 0
    assert len(one.pending) == len(two.pending) == 1
    channel.remove(one)
    assert not channel.is_empty
    channel.notify(event(2))
    assert (len(one.pending), len(two.pending)) == (1, 2)
    channel.remove(two)
    assert channel.is_empty


def test_a_view_that_raises_costs_only_its_own_audience_one_event(caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: Event) -> Event:
        raise ValueError("broken on purpose")

    channel = Channel("c")
    one, two, three = audience()[0], audience(broken)[0], audience()[0]
    for each in (one, two, three):
        channel.add(each)
    assert channel.notify(event(1)) == 1
    assert (len(one.pending), len(two.pending), len(three.pending)) == (1, 0, 1)
    let_others_in()
    assert "Repair its view" in caplog.text


def test_a_signal_receiver_that_raises_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    heard = []
    app = object()

    def broken(sender: object, **facts: object) -> None:
        raise ValueError("broken on purpose")

    def good(sender: object, listener: object) -> None:
        heard.append(listener)

    for receiver in (broken, good):
        signals.listener_added.connect(receiver, sender=app)
    assert signals.send(signals.listener_added, app, listener=1) == 1
    assert signals.send(signals.listener_added, object(), listener=2) == 0
    assert heard == [1]
    assert "broken on purpose" in caplog.text
