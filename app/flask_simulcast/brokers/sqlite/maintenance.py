"""Maintain the log: trim, sweep, checkpoint. One process at a time does it, periodically and off the loop."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from ...event import RUN_PREFIX, Draft, first_key_of
from ...run_state import FAILED, RunAppend, lost_draft
from ...settings import Settings
from ..base import IDEMPOTENCY_SECONDS, SETTLE_SECONDS, Clock, PastHead
from .committer import Appender
from .disk import Disk, wal_bytes
from .grown import Grown

# Rows of one transaction. It holds the write lock, and so stops every publisher, for about a millisecond.
_ROWS = 500
_PLACES = 100  # about two milliseconds
_CHANNELS_A_BATCH = 32
_CHANNELS_A_ROUND = 64
_BATCHES_A_ROUND = 200
_FORGET_SECONDS = 30
# Beyond this the write-ahead log starts over (measured: 84 MB after 6 400 commits without, 11 MB with).
_WAL_BYTES = 4 << 20
# A larger one is cut when a busy time, or a reader that stayed, is over. Not before: a busy log would grow again at once, and
# a commit that makes the file grow costs a tenth more than one that overwrites (30 µs instead of 27).
_WAL_LIMIT_BYTES = 16 << 20
# A reader that stays prevents that. A warning is logged once the file is this large and was held for this time.
_WAL_TOLD_BYTES = 2 * _WAL_LIMIT_BYTES
_WAL_TOLD_SECONDS = 5

_log = logging.getLogger("flask_simulcast")


class Maintenance:
    """Bounded rounds of maintenance. They block, so they must not run on the loop."""

    def __init__(self, path: str, appender: Appender, settings: Settings, clock: Clock) -> None:
        self._path = path
        self._held_since: float | None = None  # since when this process could not move all of the write-ahead log
        self._has_told = False
        self._appender = appender
        self._store = appender.store
        self._settings = settings
        self._clock = clock
        self._settled = PastHead(SETTLE_SECONDS)
        self._promised = PastHead(IDEMPOTENCY_SECONDS)
        self._allowed_when_low: int | None = None
        self._disk = Disk(path, settings.most_history_bytes)
        self._grown = Grown(appender.store.trimming, settings, clock)
        self._trimmed_to = 0
        self._forgettable = 0
        self._last_channel = ""
        self._forgot_at = float("-inf")
        self._batches_left = 0

    def look(self) -> int:
        """Note the head of the log and return the key above which nothing is trimmed: the head of 10 s ago, which this
        process must have seen."""
        now, head = self._clock.monotonic(), self._store.head().key
        self._forgettable = self._promised.look(now, head)
        return self._settled.look(now, head)

    def give_back(self) -> None:
        """Give freed space back to the disk. The write-ahead log is cut first, because a full disk takes no other write, and
        again at the end, because giving back writes to it."""
        with self._turn():
            self._store.checkpoint("TRUNCATE")
            self._store.shrink()
            self._store.checkpoint("TRUNCATE")

    def work(self) -> bool:
        """Do one round; return whether it appended events."""
        ceiling = self.look()
        now_ms = self._clock.time_ms()
        self._batches_left = _BATCHES_A_ROUND
        has_told = self._sweep_places()
        has_told = self._sweep_runs(now_ms) or has_told
        self._make_room(ceiling)
        oldest = first_key_of(now_ms - round(self._settings.longest_history_seconds * 1000))
        aged = min(oldest - 1, ceiling)
        if self._store.trimming.oldest("events") <= aged:
            self._repeat(partial(self._store.trimming.sweep, aged, _ROWS))
        self._trim_channels(ceiling)
        if self._store.trimming.oldest("known") <= self._forgettable:
            self._repeat(partial(self._store.trimming.drop_known_keys, self._forgettable, _ROWS))
        if self._clock.monotonic() - self._forgot_at >= _FORGET_SECONDS:
            self._forgot_at = self._clock.monotonic()
            self._repeat(partial(self._store.trimming.forget, oldest, _ROWS))
        now = self._clock.monotonic()
        if self._store.agreements.has_expired(now, now_ms):
            self._repeat(partial(self._store.agreements.expire, now, now_ms, _ROWS))
        self._checkpoint()
        return has_told

    def _sweep_places(self) -> bool:
        """Remove places that have ended; return whether it appended leave events."""
        told: list[Draft] = []

        def sweep() -> int:
            # Read the clocks with the lock held: a lease might have been renewed while this waited for the lock.
            now_ms = self._clock.time_ms()
            removed, drafts = self._store.register.sweep(self._clock.monotonic(), now_ms, _PLACES)
            self._store.append(drafts, now_ms, in_thread=True)
            told.extend(drafts)
            return removed

        if self._store.register.has_ended(self._clock.monotonic()):
            self._repeat(sweep, _PLACES)
        return bool(told)

    def _sweep_runs(self, now_ms: int) -> bool:
        """End the runs that were lost, and forget the old ones; return whether it appended events."""
        runs = self._store.runs
        oldest_ms = now_ms - round(self._settings.retention(RUN_PREFIX).seconds * 1000)
        ended: list[str] = []

        def end() -> int:
            lost = runs.lost(self._clock.monotonic(), _ROWS)
            appends = [RunAppend(run, [lost_draft(run)], ending=FAILED) for run in lost]
            self._store.append_to_runs(appends, self._clock.time_ms())
            ended.extend(lost)
            return len(lost)

        if runs.has_ended(self._clock.monotonic(), oldest_ms):
            self._repeat(end)
            self._repeat(partial(runs.forget, oldest_ms, _ROWS))
        return bool(ended)

    def _trim_channels(self, ceiling: int) -> None:
        """Trim the channels with events that just became old enough, and the next few of all channels, whose events only
        age."""
        trimming = self._store.trimming
        self._grown.add(trimming.growth(self._trimmed_to, ceiling))
        self._trimmed_to = ceiling
        some = trimming.channels_after(self._last_channel, _CHANNELS_A_ROUND)
        self._last_channel = some[-1] if len(some) == _CHANNELS_A_ROUND else ""
        self._grown.forget(some)
        self._grown.look(ceiling)
        while self._grown.surplus and self._batches_left > 0:
            self._write(self._trim)
            self._batches_left -= 1

    def _trim(self) -> int:
        """Trim a few channels in one transaction; return the number of rows that were emptied."""
        rows = 0
        for channel, up_to in list(itertools.islice(self._grown.surplus.items(), _CHANNELS_A_BATCH)):
            rows += self._store.trimming.trim(channel, up_to, _ROWS - rows)
            if rows >= _ROWS:
                break
            del self._grown.surplus[channel]
        return rows

    def _make_room(self, ceiling: int) -> None:
        """Remove the oldest events while the log is too large. Each time that the disk becomes nearly full, the log shrinks
        by a quarter at most: if that is not enough, another program fills the disk."""
        allowed = self._settings.history_bytes
        is_low = self._disk.is_low()
        if not is_low:
            self._allowed_when_low = None
        elif self._allowed_when_low is None:
            self._allowed_when_low = self._store.used_bytes() * 3 // 4
        if self._allowed_when_low is not None:
            allowed = min(allowed, self._allowed_when_low)
        while (surplus := self._store.used_bytes() - allowed) > 0 and self._batches_left > 0:
            if self._write(partial(self._store.trimming.sweep, ceiling, _ROWS, surplus)) == 0:
                break
            self._batches_left -= 1
            if is_low:
                self.give_back()

    def _repeat(self, work: Callable[[], int], rows: int = _ROWS) -> None:
        """Run batch after batch, and release the write lock in between, until a batch is not full or this round has used its
        share."""
        while self._batches_left > 0 and self._write(work) == rows:
            self._batches_left -= 1

    def _write(self, work: Callable[[], int]) -> int:
        with self._turn():
            return self._appender.write(lambda _: work())

    @contextmanager
    def _turn(self) -> Iterator[None]:
        self._appender.take_turn()
        try:
            yield
        finally:
            self._appender.write_lock.release()

    def _checkpoint(self) -> None:
        """Move the write-ahead log into the file, and start it over once it is large. While some process still reads the old
        content it can't start over, so the write lock is not taken."""
        now = self._clock.monotonic()
        used = self._store.checkpoint("PASSIVE")
        if used is not None:
            self._held_since = None
            self._start_over(used)
        elif self._held_since is None:
            self._held_since = now
        self._tell(wal_bytes(self._path), 0 if self._held_since is None else now - self._held_since)

    def _start_over(self, used: int) -> None:
        """Start the write-ahead log over, and cut a large file that publishers did not fill in this round."""
        is_busy = used > _WAL_LIMIT_BYTES and not self._has_told
        is_large = wal_bytes(self._path) > _WAL_LIMIT_BYTES
        if used > _WAL_BYTES or is_large:
            self._store.checkpoint("PASSIVE")  # what came meanwhile, so that little is left to do while publishers wait
            with self._turn():
                self._store.checkpoint("TRUNCATE" if is_large and not is_busy else "RESTART")

    def _tell(self, size: int, held_seconds: float) -> None:
        """Log one warning while the write-ahead log stays too large, and one line when that is over."""
        if size <= _WAL_LIMIT_BYTES and self._has_told:
            self._has_told = False
            _log.info("%s-wal is small again: %d MiB.", self._path, size >> 20)
        elif size > _WAL_TOLD_BYTES and held_seconds >= _WAL_TOLD_SECONDS and not self._has_told:
            self._has_told = True
            _log.warning(
                "%s-wal has %d MiB, and grows with every published event: some process has been reading the log for %d s "
                "without an end. Find it (lsof %s-wal) and end its transaction; then the file shrinks by itself.",
                self._path,
                size >> 20,
                held_seconds,
                self._path,
            )
