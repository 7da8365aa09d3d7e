"""Objects that are woken at about the same time share one timer of the loop."""

from __future__ import annotations

import time

import pytest
from gevent import get_hub
from gevent.event import Event as Flag

from app.flask_simulcast.transports import timer as timer_module
from app.flask_simulcast.transports.timer import Timer


def test_alarms_of_about_the_same_time_share_a_timer() -> None:
    now = time.monotonic()
    timers = [Timer(list) for _ in range(100)]
    for number, timer in enumerate(timers):
        timer.set(now + 15 + number / 100)
    assert len({id(timer._alarm) for timer in timers}) <= 10
    for timer in timers:
        timer.stop()


def test_an_alarm_is_never_early_and_replaces_an_earlier_one() -> None:
    rang, at = Flag(), []
    late = Timer(lambda: (at.append(time.monotonic()), rang.set()))
    late.set(time.monotonic() + 60)
    wanted = time.monotonic() + 0.02
    late.set(wanted)
    late.start(wanted + 60)  # it is set already
    stopped = Timer(lambda: at.append(0))
    stopped.set(wanted)
    stopped.stop()
    assert rang.wait(5)
    assert len(at) == 1
    assert wanted <= at[0]


def test_an_alarm_that_fails_does_not_silence_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[object] = []
    monkeypatch.setattr(get_hub(), "handle_error", lambda context, type, value, tb: reported.append(value))
    rang = [Flag() for _ in range(3)]

    def fail(flag: Flag) -> None:
        flag.set()
        raise RuntimeError("broken on purpose")

    at = time.monotonic() + 0.02
    for flag in rang:
        Timer(lambda flag=flag: fail(flag)).set(at)  # type: ignore[misc]
    assert all(flag.wait(5) for flag in rang)
    assert len(reported) == 3


def test_an_alarm_that_is_set_for_nothing_ends() -> None:
    """A client can set the end of a call years ahead, and end it at once."""
    alarms = timer_module._of_loops.setdefault(get_hub(), {})
    before = dict(alarms)
    timers = [Timer(list) for _ in range(3)]
    for number, timer in enumerate(timers):
        timer.set(time.monotonic() + 1e9 + number)
        timer.set(time.monotonic() + 2e9)
    assert len(alarms) == len(before) + 1
    for timer in timers:
        timer.stop()
    assert alarms == before
