"""Alarms: objects that want to be woken at about the same time share one timer of the loop.

Ten thousand idle WebSockets, which are pinged each 15 seconds, need about 120 timers.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from gevent import get_hub
from gevent.hub import Hub

# Seconds by which an alarm might be late.
_STEP_SECONDS = 1 / 8
_SHORT_STEP_SECONDS = 1 / 128  # if it is less than a second ahead


class Sleeper(ABC):
    """An object that can be woken at a time. All of it belongs to one loop, and nothing of it switches."""

    __slots__ = ("_alarm",)

    def __init__(self) -> None:
        self._alarm: _Alarm | None = None

    def _wake_at(self, at: float) -> None:
        """Call `_on_alarm` at this time, in monotonic seconds, or a little later. Replaces an earlier time."""
        alarm = _alarm_at(at)
        if alarm is not self._alarm:
            self._sleep_on()
            alarm.sleepers.add(self)
            self._alarm = alarm

    def _sleep_on(self) -> None:
        """Do not wake it. A second call does nothing."""
        if self._alarm is not None:
            self._alarm.forget(self)
            self._alarm = None

    @abstractmethod
    def _on_alarm(self) -> None:
        """Called from the loop at the time. It must not switch."""


class Timer(Sleeper):
    """Calls a function at a given time.

    Args:
        on_time: Called at that time, from the loop. It must not switch.
    """

    __slots__ = ("_on_time",)

    def __init__(self, on_time: Callable[[], object]) -> None:
        super().__init__()
        self._on_time = on_time

    def set(self, at: float) -> None:
        """Call the function at this time, in monotonic seconds, or a little later. Replaces an earlier time."""
        self._wake_at(at)

    def start(self, at: float) -> None:
        """Do the same, unless it is set already."""
        if self._alarm is None:
            self._wake_at(at)

    def stop(self) -> None:
        """Stop the timer. A second call does nothing."""
        self._sleep_on()

    def _on_alarm(self) -> None:
        self._on_time()


class _Alarm:
    """One moment of a loop.

    Attributes:
        sleepers: The objects that are woken then.
    """

    __slots__ = ("_alarms", "_at", "_timer", "sleepers")

    def __init__(self, alarms: dict[float, _Alarm], at: float, seconds: float) -> None:
        self.sleepers: set[Sleeper] = set()
        self._alarms = alarms
        self._at = at
        self._timer: Any = get_hub().loop.timer(seconds)
        self._timer.start(self._ring, update=True)

    def forget(self, sleeper: Sleeper) -> None:
        """Do not wake it. Without a sleeper the alarm ends: a client can set one that is years ahead."""
        self.sleepers.discard(sleeper)
        if not self.sleepers:
            self._end()

    def _end(self) -> None:
        """Let go of the timer. An alarm that is set from here on is another one. A second call does nothing."""
        if self._alarms.get(self._at) is self:
            del self._alarms[self._at]
            self._timer.close()

    def _ring(self) -> None:
        self._end()
        try:
            while self.sleepers:
                sleeper = self.sleepers.pop()
                sleeper._alarm = None
                sleeper._on_alarm()
        finally:
            if self.sleepers:  # one of them raised
                get_hub().loop.run_callback(self._ring)


_of_loops: WeakKeyDictionary[Hub, dict[float, _Alarm]] = WeakKeyDictionary()


def _alarm_at(at: float) -> _Alarm:
    """Return the first alarm of this loop at this time or later."""
    seconds = max(at - time.monotonic(), 0)
    step = _STEP_SECONDS if seconds >= 1 else _SHORT_STEP_SECONDS
    at = math.ceil(at / step) * step
    alarms = _of_loops.setdefault(get_hub(), {})
    alarm = alarms.get(at)
    if alarm is None:
        alarm = alarms[at] = _Alarm(alarms, at, max(at - time.monotonic(), 0))
    return alarm
