"""Maintain the log: trim, sweep, forget. One worker of the fleet does it at a time, periodically."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from typing import Any

from ...event import RUN_PREFIX, first_key_of
from ...run_state import lost_draft
from ...settings import Settings
from ..base import SETTLE_SECONDS, Clock, PastHead, new_tag
from .rows import key_of, parts_of
from .scripts import AGE, CHANNELS, FORGET, LOOK, ROOM, SWEEP, SWEEP_RUNS, TRIM, Script

# Bounds of one script, so that it delays other clients by a few milliseconds at most.
_EVENTS = 500
_GROUPS = 2000
_PLACES = 100
_RUNS = 100
_CHANNELS = 64
_BATCHES_A_ROUND = 100
_LEASE_SECONDS = 5
# The tail holds all data a second time, so it is short. A worker that stands still for longer goes back to the histories.
_TAIL_SECONDS = 60

Run = Callable[..., Any]


class Maintenance:
    """Bounded rounds of maintenance.

    Args:
        run: Runs a script. Switches.
        settings: The history bounds.
        clock: The clock of this process, which gives the age of the heads that it saw.
    """

    def __init__(self, run: Run, settings: Settings, clock: Clock) -> None:
        self._run = run
        self._settings = settings
        self._clock = clock
        self._holder = secrets.token_hex(8)
        self._settled = PastHead(SETTLE_SECONDS)
        self._passed = PastHead(_TAIL_SECONDS)
        self._next_channel = 0
        self._next_mark = "0"
        self._batches_left = 0

    def work(self) -> None:
        """Do one round, in one worker at a time. Switches."""
        forgotten_ms = parts_of(self._oldest_key(self._settings.retention(RUN_PREFIX).seconds))[0]
        facts = self._run(LOOK, self._holder, _LEASE_SECONDS * 1000, forgotten_ms)
        is_ours, head, size, has_ended, grown, has_runs = facts
        now = self._clock.monotonic()
        ceiling = self._settled.look(now, key_of(head))
        passed = self._passed.look(now, key_of(head))
        if not is_ours:
            return
        self._batches_left = _BATCHES_A_ROUND
        if has_ended:
            self._repeat(SWEEP, new_tag(), _PLACES)
        if has_runs:
            self._repeat(SWEEP_RUNS, new_tag(), _RUNS, forgotten_ms, RUN_PREFIX, *lost_draft("")[1:3])
        if not ceiling:
            return  # no event is old enough
        self._trim(ceiling, grown)
        if size > self._settings.history_bytes:
            self._repeat(ROOM, *parts_of(ceiling), self._settings.history_bytes, _EVENTS)
        aged = min(self._oldest_key(self._settings.longest_history_seconds) - 1, ceiling)
        self._repeat(AGE, *parts_of(passed), *parts_of(aged), _GROUPS)
        self._next_mark = self._run(FORGET, self._next_mark, parts_of(aged + 1)[0])

    def _trim(self, ceiling: int, grown: int) -> None:
        """Trim the channels that have grown, in no order, and the next few of all channels, whose events only age."""
        rounds = max(math.ceil(grown / _CHANNELS), 1)
        while rounds and self._batches_left > 0:
            rounds -= 1
            self._batches_left -= 1
            self._next_channel, channels = self._run(CHANNELS, self._next_channel, _CHANNELS)
            bounds: list[Any] = []
            for channel in dict.fromkeys(channels):
                keep, seconds, _ = self._settings.retention(channel)
                bounds += (channel, keep, parts_of(self._oldest_key(seconds))[0])
            if bounds:
                self._repeat(TRIM, *parts_of(ceiling), _EVENTS, *bounds)

    def _oldest_key(self, seconds: float) -> int:
        return first_key_of(max(self._now_ms() - round(seconds * 1000), 0))

    def _now_ms(self) -> int:
        return self._clock.time_ms()

    def _repeat(self, script: Script, *arguments: Any) -> None:
        """Run a script until there is nothing left to do or this round has used its share. Other commands can run in between."""
        while self._batches_left > 0 and self._run(script, *arguments):
            self._batches_left -= 1
