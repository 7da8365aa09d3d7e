"""Greenlets that are used again: for as many calls as wait at the same time, each in a context of its own."""

from __future__ import annotations

from contextvars import ContextVar

import gevent
import pytest
from gevent import get_hub, getcurrent
from gevent.event import Event

from app.flask_simulcast.gunicorn.door.greenlets import Greenlets

_seen: ContextVar[str] = ContextVar("seen", default="nothing")


def test_calls_that_do_not_wait_share_one_greenlet():
    greenlets, callers = Greenlets(), []
    for _ in range(3):
        get_hub().loop.run_callback(greenlets.run, lambda: callers.append(getcurrent()))
    gevent.sleep(0)
    assert len(callers) == 3
    assert len(set(callers)) == 1


def test_a_call_that_waits_holds_up_no_other():
    greenlets, go_on, done = Greenlets(), Event(), []

    def wait():
        go_on.wait()
        done.append("waited")

    for function in (wait, lambda: done.append("at once")):
        get_hub().loop.run_callback(greenlets.run, function)
    gevent.sleep(0)
    assert done == ["at once"]
    go_on.set()
    gevent.sleep(0)
    assert done == ["at once", "waited"]


def test_a_greenlet_that_is_not_the_loops_goes_on_after_it_has_asked_for_a_call():
    greenlets, order = Greenlets(), []
    greenlets.run(order.append, "call")
    order.append("caller")
    gevent.sleep(0)
    assert order == ["caller", "call"]


def test_what_a_call_leaves_in_its_context_is_not_there_for_the_next_one():
    greenlets, found = Greenlets(), []

    def call(value):
        found.append(_seen.get())
        _seen.set(value)

    for value in ("first", "second"):
        get_hub().loop.run_callback(greenlets.run, call, value)
    gevent.sleep(0)
    assert found == ["nothing", "nothing"]


def test_an_idle_greenlet_that_a_timeout_has_ended_takes_no_call(monkeypatch: pytest.MonkeyPatch):
    reported: list[object] = []
    monkeypatch.setattr(get_hub(), "handle_error", lambda context, type, value, tb: reported.append(value))
    greenlets, left_behind, done = Greenlets(), gevent.Timeout(0), []
    get_hub().loop.run_callback(greenlets.run, left_behind.start)
    while not reported:
        gevent.sleep(0)
    assert reported == [left_behind]
    get_hub().loop.run_callback(greenlets.run, done.append, "done")
    gevent.sleep(0)
    assert done == ["done"]
