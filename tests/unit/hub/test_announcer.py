"""Signals reach the app's receivers, and a receiver that raises is counted."""

from __future__ import annotations

import gevent
import pytest
from blinker import Signal

from app.flask_simulcast.hub.announcer import Announcer
from app.flask_simulcast.metrics import Metrics
from tests.unit.readers import settle


def test_a_receiver_that_raises_is_counted_and_the_others_are_called() -> None:
    signal, metrics, heard = Signal(), Metrics(), []

    def broken(sender: object, **facts: object) -> None:
        raise RuntimeError("on purpose")

    def whole(sender: object, **facts: object) -> None:
        heard.append((sender, facts))

    with signal.connected_to(broken), signal.connected_to(whole):
        Announcer("app", metrics).send(signal, reason="x")
    assert heard == [("app", {"reason": "x"})]
    assert metrics.value("receiver_errors_total") == 1


def test_what_is_sent_soon_is_heard_after_the_next_switch() -> None:
    signal, here = Signal(), gevent.getcurrent()
    heard: list[object] = []

    def receiver(sender: object, **facts: object) -> None:
        heard.append(gevent.getcurrent())

    with signal.connected_to(receiver):
        Announcer("app", Metrics()).send_soon(signal)
        assert heard == []
        settle()
    assert len(heard) == 1 and heard[0] is not here


def test_without_receivers_no_greenlet_is_made_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    spawned: list[object] = []
    monkeypatch.setattr(gevent, "spawn", lambda *arguments, **_: spawned.append(arguments))
    Announcer("app", Metrics()).send_soon(Signal(), reason="x")
    assert spawned == []
