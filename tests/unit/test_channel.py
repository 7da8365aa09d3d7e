"""A channel notifies its audiences, each in its own try; signals of the life cycle do the same."""

from __future__ import annotations

import gc

import pytest

from app.flask_simulcast import signals
from app.flask_simulcast.audience import Audience
from app.flask_simulcast.channel import Channel
from app.flask_simulcast.encoding.sse import SSE
from app.flask_simulcast.event import Event, Position
from app.flask_simulcast.listen_request import ListenRequest
from app.flask_simulcast.listener import Listener
from app.flask_simulcast.loop import let_others_in
from tests.unit.conftest import MakeHub

EVENT = Event(Position(1, 2), "c", "message", "1")


def fails(event: Event) -> Event | None:
    raise ValueError("on purpose")


def audience(view: object = None) -> Audience:
    return Audience(("c",), SSE, view, Position(0, 0), lambda audience: None)  # type: ignore[arg-type]


def test_an_audience_that_raises_does_not_keep_an_event_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    channel = Channel("c")
    audiences = [audience(), audience(fails), audience(), audience(fails), audience()]
    for each in audiences:
        channel.add(each)
    assert channel.notify(EVENT) == 2
    assert [len(each.pending) for each in audiences] == [1, 0, 1, 0, 1]
    let_others_in()  # it is written in a greenlet of its own
    assert "Repair its view" in caplog.text
    assert '"1"' not in caplog.text.replace(str(EVENT.position), "")


def test_it_is_empty_when_its_last_audience_has_gone() -> None:
    channel = Channel("c")
    one, two = audience(), audience()
    assert channel.is_empty
    channel.add(one)
    channel.add(two)
    channel.remove(one)
    assert not channel.is_empty
    assert channel.notify(EVENT) == 0
    assert (len(one.pending), len(two.pending)) == (0, 1)
    channel.remove(two)
    assert channel.is_empty


def test_it_holds_its_audiences() -> None:
    channel = Channel("c")
    channel.add(audience())
    gc.collect()
    assert not channel.is_empty


def test_receivers_of_a_signal_that_raise_are_counted_and_the_others_run(
    make_hub: MakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    hub = make_hub()
    told: list[tuple[str, object, object]] = []

    def raises(sender: object, listener: Listener) -> None:
        raise ValueError("on purpose")

    def added(sender: object, listener: Listener) -> None:
        told.append(("added", sender, listener.close_reason))

    def removed(sender: object, listener: Listener) -> None:
        told.append(("removed", sender, listener.close_reason and listener.close_reason.value))

    with (
        signals.listener_added.connected_to(raises),
        signals.listener_added.connected_to(added),
        signals.listener_removed.connected_to(raises),
        signals.listener_removed.connected_to(removed),
    ):
        listener = Listener(ListenRequest(("c",), SSE))
        hub.add_listener(listener)
        hub.remove_listener(listener)
        hub.remove_listener(listener)
    assert told == [("added", None, None), ("removed", None, "client_gone")]
    assert hub.metrics.value("receiver_errors_total") == 2
    assert caplog.text.count("Fix it") == 2


def test_draining_is_told() -> None:
    told = []

    def draining(sender: object) -> None:
        told.append(sender)

    with signals.draining.connected_to(draining, sender="app"):
        signals.send(signals.draining, "app")
        signals.send(signals.draining, "another app")
    assert told == ["app"]
