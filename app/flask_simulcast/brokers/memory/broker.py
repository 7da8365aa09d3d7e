"""The log in this process's memory: for tests, and for a single worker. It is lost when the process ends."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Collection, Sequence

from gevent.event import Event as Flag

from ...event import CONTROL, RUN_PREFIX, Draft, Position
from ...presence import Member, Place
from ...run_state import RunAppend, RunState
from ...settings import Settings
from ..base import MOST_COUNTED, Batch, Broker, ChannelSummary, Clock, Page, Positions, Verdict
from ..check_in import CheckIn, take_in
from ..lease import lease_end
from .agreements import Agreements
from .log import Log
from .register import Register
from .runs import Runs


class MemoryBroker(Broker):
    """A log in memory. Only `wait` switches.

    Args:
        settings: The history bounds.
        clock: The wall clock and the monotonic clock.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._clock = clock
        self._log = Log(settings, clock)
        self._register = Register()
        self._runs = Runs(self._append)
        self._run_seconds = settings.retention(RUN_PREFIX).seconds
        self._agreements = Agreements()
        self._bell = Flag()
        self._mutex = threading.Lock()  # between the threads of a process without a loop

    def append(self, drafts: Sequence[Draft]) -> Positions:
        with self._mutex:
            return self._append(drafts)

    def _append(self, drafts: Sequence[Draft]) -> Positions:
        positions = self._log.append(drafts)
        if positions:
            self._bell.set()
        return positions

    def read(self, after: Position) -> Batch:
        with self._mutex:
            return self._log.read(after)

    def page(self, channels: Sequence[str], after: Position, up_to: Position, max_bytes: int) -> Page:
        with self._mutex:
            return self._log.page(channels, after, up_to, max_bytes)

    def verdict(self, position: Position, channels: Sequence[str]) -> Verdict:
        with self._mutex:
            return self._log.verdict(position, channels)

    def newest(self, channels: Sequence[str], count: int) -> Position:
        with self._mutex:
            return self._log.newest(channels, count)

    def channels(self, after: str, limit: int, *, prefix: str = "") -> list[ChannelSummary]:
        with self._mutex:
            extents, places = self._log.extents(), self._register.count()
            names = {
                name for name in (*extents, *places) if name > after and name.startswith(prefix) and name != CONTROL
            }
            return [
                ChannelSummary(name, *extents.get(name, (0, 0, 0)), min(places[name], MOST_COUNTED))
                for name in heapq.nsmallest(limit, names)
            ]

    def head(self) -> Position:
        return self._log.head

    def wait(self, seconds: float) -> None:
        self._bell.wait(seconds)
        self._bell.clear()

    def hold_lease(self, name: str, holder: str, seconds: float) -> bool:
        with self._mutex:
            return self._agreements.hold_lease(name, holder, seconds, self._clock.monotonic())

    def release_lease(self, name: str, holder: str) -> None:
        with self._mutex:
            self._agreements.release_lease(name, holder)

    def check_in(self, report: CheckIn) -> bool:
        with self._mutex:
            joined = take_in(self._register, report, self._clock.monotonic(), self._clock.time_ms())
            if joined:
                self._append(joined)
            return joined is not None

    def check_out(self, worker: str, *, grace_seconds: float) -> None:
        with self._mutex:
            self._register.end(worker, lease_end(self._clock.monotonic(), grace_seconds))

    def place(self, listener: str) -> Place | None:
        with self._mutex:
            return self._register.place(listener, self._clock.monotonic())

    def places(self, after: str, limit: int, *, channel: str = "", user: str = "") -> list[Place]:
        with self._mutex:
            return self._register.places(after, limit, channel, user, self._clock.monotonic())

    def members(self, channel: str, after: str, limit: int) -> list[Member]:
        with self._mutex:
            return self._register.members(channel, after, limit)

    def begin_run(self, run: str, user: str, meta: str, worker: str, seconds: float) -> tuple[RunState, bool]:
        with self._mutex:
            record = RunState(run, user, meta, worker, self._clock.time_ms(), self._log.head)
            return self._runs.begin(record, lease_end(self._clock.monotonic(), seconds))

    def append_to_runs(self, appends: Sequence[RunAppend]) -> list[bool]:
        with self._mutex:
            return [self._runs.append(append) for append in appends]

    def hold_runs(self, worker: str, runs: Collection[str], seconds: float) -> set[str]:
        with self._mutex:
            return self._runs.hold(worker, runs, lease_end(self._clock.monotonic(), seconds))

    def run(self, id: str) -> RunState | None:
        with self._mutex:
            return self._runs.find(id)

    def runs(self, after: str, limit: int, *, user: str = "") -> list[RunState]:
        with self._mutex:
            return self._runs.page(after, limit, user)

    def put_text(self, name: str, value: str, seconds: float) -> None:
        with self._mutex:
            self._agreements.put_text(name, value, self._clock.monotonic() + seconds)

    def get_text(self, name: str) -> str | None:
        with self._mutex:
            return self._agreements.get_text(name, self._clock.monotonic())

    def pop_text(self, name: str) -> str | None:
        with self._mutex:
            return self._agreements.pop_text(name, self._clock.monotonic())

    def revoke(self, name: str, before_ms: int, seconds: float, draft: Draft) -> Position:
        with self._mutex:
            self._agreements.revoke(name, before_ms, self._clock.time_ms() + round(seconds * 1000))
            return self._append([draft])[0]

    def revoked_before(self, names: Sequence[str]) -> int:
        with self._mutex:
            return self._agreements.revoked_before(names, self._clock.time_ms())

    def maintain(self) -> None:
        with self._mutex:
            now, now_ms = self._clock.monotonic(), self._clock.time_ms()
            self._append(self._register.sweep(now, now_ms))
            self._runs.sweep(now, now_ms - self._run_seconds * 1000)
            self._agreements.expire(now, now_ms)
            self._log.maintain(now, now_ms)

    def close(self) -> None:
        self._bell.set()
