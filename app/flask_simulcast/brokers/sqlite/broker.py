"""The log in one SQLite file: any number of workers on one machine, nothing to install.

An acknowledged event survives the kill of any worker. A power failure might lose the last events, because
``synchronous=NORMAL`` does not wait for the disk.
"""

from __future__ import annotations

import math
import secrets
import sqlite3
from collections.abc import Collection, Sequence

from ...errors import BrokerUnavailableError
from ...event import RUN_PREFIX, Draft, Position
from ...loop import has_loop
from ...presence import Member, Place
from ...run_state import RunAppend, RunState
from ...settings import Settings
from ..base import Batch, Broker, ChannelSummary, Clock, Page, Positions, Verdict
from ..check_in import CheckIn, take_in
from ..lease import lease_end
from .agreements import holds
from .disk import log_bytes, wal_bytes
from .files import LogFile
from .maintenance import Maintenance
from .store import Store

_UPKEEP_LEASE = "simulcast:upkeep"
_UPKEEP_SECONDS = 5


class SQLiteBroker(Broker):
    """Reads on the loop (8 µs and up), writes through a `Committer`, maintains in a thread.

    Args:
        path: The file. A missing file is made, with its folder, for this user only.
        settings: The history bounds and timeouts.
        clock: The wall clock and the monotonic clock.

    Raises:
        BrokerUnavailableError: The file can't be opened or made.
    """

    def __init__(self, path: str, settings: Settings, clock: Clock) -> None:
        self._clock = clock
        self._id = secrets.token_hex(8)
        self._log = LogFile(path, settings, clock)
        self._was_read = False

    def append(self, drafts: Sequence[Draft]) -> Positions:
        if not drafts:
            return Positions()
        self._log.check_space(sum([len(draft.data) for draft in drafts]))
        if has_loop():
            positions = self._log.files.committer.append(drafts)
        else:
            with self._log.mutex:
                positions = self._log.files.committer.append(drafts)
        self._log.doorbell.ring(draft.channel for draft in drafts)
        return positions

    def read(self, after: Position) -> Batch:
        is_listening = self._log.doorbell.is_listening
        with self._log.reading() as store:
            batch = store.read(after)
        self._was_read = is_listening and not (batch.passed or batch.has_more)
        return batch

    def page(self, channels: Sequence[str], after: Position, up_to: Position, max_bytes: int) -> Page:
        with self._log.reading() as store:
            return store.page(channels, after, up_to, max_bytes)

    def verdict(self, position: Position, channels: Sequence[str]) -> Verdict:
        with self._log.reading() as store:
            return store.verdict(position, channels)

    def head(self) -> Position:
        with self._log.reading() as store:
            return store.head()

    def newest(self, channels: Sequence[str], count: int) -> Position:
        with self._log.reading() as store:
            return store.newest(channels, count)

    def channels(self, after: str, limit: int, *, prefix: str = "") -> list[ChannelSummary]:
        with self._log.reading() as store:
            return store.summaries.channels(after, limit, prefix)

    def wait(self, seconds: float) -> Collection[str] | None:
        channels = self._log.doorbell.wait(seconds)
        self._was_read = False  # the rings since then were taken
        return channels

    def may_have_grown(self) -> bool:
        return not self._was_read or self._log.doorbell.has_rung

    # Leases

    def hold_lease(self, name: str, holder: str, seconds: float) -> bool:
        with self._log.reading() as store:
            lease = store.agreements.lease(name)
        now = self._clock.monotonic()
        if lease is not None and holds(lease[1], now):
            if lease[0] != holder:
                return False
            if lease[1] - now > seconds / 2:
                return True  # renewed recently, so nothing is written

        def take(store: Store) -> bool:
            now = self._clock.monotonic()
            lease = store.agreements.lease(name)
            if lease is not None and lease[0] != holder and holds(lease[1], now):
                return False
            store.agreements.set_lease(name, holder, lease_end(now, seconds))
            return True

        return self._log.change(take)

    def release_lease(self, name: str, holder: str) -> None:
        self._log.change(lambda store: store.agreements.drop_lease(name, holder))

    # The register

    def check_in(self, report: CheckIn) -> bool:
        if report.come:
            self._log.check_space(sum([len(place.meta) for place in report.come]))

        def work(store: Store) -> bool:
            now, now_ms = self._clock.monotonic(), self._clock.time_ms()
            joined = take_in(store.register, report, now, now_ms)
            if joined is None:
                return False
            drafts.extend(joined)
            store.append(drafts, now_ms, in_thread=True)
            return True

        drafts: list[Draft] = []
        is_in = self._log.change(work)
        if drafts:
            self._log.doorbell.ring((draft.channel for draft in drafts), everybody=True)
        return is_in

    def check_out(self, worker: str, *, grace_seconds: float) -> None:
        def work(store: Store) -> None:
            store.register.end(worker, lease_end(self._clock.monotonic(), grace_seconds))

        self._log.change(work)

    def place(self, listener: str) -> Place | None:
        with self._log.reading() as store:
            return store.register.place(listener, self._clock.monotonic())

    def places(self, after: str, limit: int, *, channel: str = "", user: str = "") -> list[Place]:
        with self._log.reading() as store:
            return store.register.places(after, limit, channel, user, self._clock.monotonic())

    def members(self, channel: str, after: str, limit: int) -> list[Member]:
        with self._log.reading() as store:
            return store.register.members(channel, after, limit)

    # Runs

    def begin_run(self, run: str, user: str, meta: str, worker: str, seconds: float) -> tuple[RunState, bool]:
        self._log.check_space(len(meta))

        def work(store: Store) -> tuple[RunState, bool]:
            known = store.runs.find(run)
            if known is not None:
                return known, False
            record = RunState(run, user, meta, worker, self._clock.time_ms(), store.head())
            store.runs.add(record, lease_end(self._clock.monotonic(), seconds))
            return record, True

        return self._log.change(work)

    def append_to_runs(self, appends: Sequence[RunAppend]) -> list[bool]:
        self._log.check_space(sum([len(draft.data) for append in appends for draft in append.drafts]))
        stored = self._log.change(lambda store: store.append_to_runs(appends, self._clock.time_ms()))
        # An ending is an order, too, to the worker that produces the run.
        named = [] if any(append.ending for append in appends) else [RUN_PREFIX + append.run for append in appends]
        self._log.doorbell.ring(named, everybody=True)
        return stored

    def hold_runs(self, worker: str, runs: Collection[str], seconds: float) -> set[str]:
        with self._log.reading() as store:
            leases = store.runs.open_of(worker, runs)
        if min(leases.values(), default=math.inf) - self._clock.monotonic() < seconds / 2:

            def work(store: Store) -> dict[str, float]:
                store.runs.hold(worker, runs, lease_end(self._clock.monotonic(), seconds))
                return store.runs.open_of(worker, runs)

            leases = self._log.change(work)
        return set(leases)

    def run(self, id: str) -> RunState | None:
        with self._log.reading() as store:
            return store.runs.find(id)

    def runs(self, after: str, limit: int, *, user: str = "") -> list[RunState]:
        with self._log.reading() as store:
            return store.runs.page(after, limit, user)

    # Small texts

    def put_text(self, name: str, value: str, seconds: float) -> None:
        self._log.check_space(len(value))

        def work(store: Store) -> None:
            now = self._clock.monotonic()
            store.agreements.put_text(name, value, now, now + seconds)

        self._log.change(work)

    def get_text(self, name: str) -> str | None:
        with self._log.reading() as store:
            return store.agreements.get_text(name, self._clock.monotonic())

    def pop_text(self, name: str) -> str | None:
        if self.get_text(name) is None:
            return None  # an unknown name costs no write
        return self._log.change(lambda store: store.agreements.pop_text(name, self._clock.monotonic()))

    # Revocation

    def revoke(self, name: str, before_ms: int, seconds: float, draft: Draft) -> Position:
        def work(store: Store) -> Position:
            now_ms = self._clock.time_ms()
            store.agreements.revoke(name, before_ms, now_ms + round(seconds * 1000))
            return store.append([draft], now_ms, in_thread=True)[0]

        position = self._log.change(work)
        self._log.doorbell.ring(everybody=True)
        return position

    def revoked_before(self, names: Sequence[str]) -> int:
        with self._log.reading() as store:
            return store.agreements.revoked_before(names, self._clock.time_ms())

    # Maintenance

    def maintain(self) -> None:
        """Reopen the log if its file was replaced; then do one round of maintenance, in one process at a time."""
        try:
            if self._log.is_swapped():
                let_go = self._log.reopen()
                self.generation += 1
                let_go()
            if self._log.disk.is_low():
                self._log.maintain(Maintenance.give_back)
            if not self.hold_lease(_UPKEEP_LEASE, self._id, _UPKEEP_SECONDS):
                self._log.maintain(Maintenance.look)
            elif self._log.maintain(Maintenance.work):
                self._log.doorbell.ring(everybody=True)
            self.write_ahead_bytes = wal_bytes(self._log.path)
            self.log_bytes = log_bytes(self._log.path)
        except (sqlite3.Error, OSError) as error:
            raise BrokerUnavailableError(
                f"The log could not be maintained: {error}. It grows until maintenance works again; look at the disk."
            ) from error

    def close(self) -> None:
        self._log.close()
