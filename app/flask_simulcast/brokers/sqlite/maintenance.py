"""Trimming, sweeping, checkpoints: what one process at a time does for the log, now and then, off the loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from ...event import Draft, first_key_of
from ...loop import is_patched
from ...settings import Settings
from ..base import IDEMPOTENCY_SECONDS, SETTLE_SECONDS, Clock, PastHead
from .committer import Appender
from .disk import Disk, wal_bytes
from .store import WAL_LIMIT_BYTES

# One transaction holds the turn, and with it every publisher, for so many rows: about a millisecond.
_ROWS = 500
_PLACES = 100  # about two milliseconds
_CHANNELS_A_ROUND = 64
_BATCHES_A_ROUND = 200
_FORGET_SECONDS = 30
# Beyond this the write-ahead log is begun anew (measured: 84 MB after 6 400 commits without, 11 MB with).
_WAL_BYTES = 4 << 20
# A reader that stays keeps it from that. It is told of once the file is so large, and has been held up for so long.
_WAL_TOLD_BYTES = 2 * WAL_LIMIT_BYTES
_WAL_TOLD_SECONDS = 5

_log = logging.getLogger("flask_simulcast")


class Maintenance:
    """Bounded rounds of work. Blocks: not for the loop."""

    def __init__(self, path: str, appender: Appender, settings: Settings, clock: Clock) -> None:
        self._path = path
        self._held_since: float | None = None  # that not all of the write-ahead log could be moved, by this process
        self._has_told = False
        self._appender = appender
        self._store = appender.store
        self._settings = settings
        self._clock = clock
        self._settled = PastHead(SETTLE_SECONDS)
        self._promised = PastHead(IDEMPOTENCY_SECONDS)
        self._allowed_when_low: int | None = None
        self._disk = Disk(path, settings.most_history_bytes)
        self._trimmed_to = 0
        self._forgettable = 0
        self._last_channel = ""
        self._forgot_at = float("-inf")
        self._batches_left = 0

    def look(self) -> int:
        """Note how far the log is, and answer the key above which nothing is trimmed: its head of 10 s ago, which this process must have seen."""
        now, head = self._clock.monotonic(), self._store.head().key
        self._forgettable = self._promised.look(now, head)
        return self._settled.look(now, head)

    def give_back(self) -> None:
        """Space that was freed, to the disk, and that of the write-ahead log: first, because on a disk that is full
        nothing else can be written, and last, because giving back writes as well."""
        with self._turn():
            self._store.checkpoint("TRUNCATE")
            self._store.shrink()
            self._store.checkpoint("TRUNCATE")

    def work(self) -> bool:
        """One round. Answers whether it appended events."""
        ceiling = self.look()
        now_ms = self._clock.time_ms()
        self._batches_left = _BATCHES_A_ROUND
        has_told = self._sweep_places()
        self._make_room(ceiling)
        for channel in self._channels_to_trim(ceiling):
            self._trim(channel, now_ms, ceiling)
        oldest = first_key_of(now_ms - round(self._settings.longest_history_seconds * 1000))
        aged = min(oldest - 1, ceiling)
        if self._store.trimming.oldest("events") <= aged:
            self._repeat(partial(self._store.trimming.sweep, aged, _ROWS))
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
        """Whether somebody has left."""
        told: list[Draft] = []

        def sweep() -> int:
            # The clocks are read with the turn: a lease may have been renewed while this waited for it.
            now_ms = self._clock.time_ms()
            removed, drafts = self._store.register.sweep(self._clock.monotonic(), now_ms, _PLACES)
            self._store.append(drafts, now_ms, in_thread=is_patched())
            told.extend(drafts)
            return removed

        if self._store.register.has_ended(self._clock.monotonic()):
            self._repeat(sweep, _PLACES)
        return bool(told)

    def _channels_to_trim(self, ceiling: int) -> list[str]:
        """Those with events that have just become old enough, and the next few of all, whose events only age."""
        grown = self._store.trimming.channels_between(self._trimmed_to, ceiling)
        some = self._store.trimming.channels_after(self._last_channel, _CHANNELS_A_ROUND)
        self._trimmed_to = ceiling
        self._last_channel = some[-1] if len(some) == _CHANNELS_A_ROUND else ""
        return list(dict.fromkeys(grown + some))

    def _trim(self, channel: str, now_ms: int, ceiling: int) -> None:
        keep, seconds, _ = self._settings.retention(channel)
        before = first_key_of(now_ms - round(seconds * 1000))
        up_to = self._store.trimming.surplus(channel, keep, before, ceiling)
        if up_to is not None:
            self._repeat(partial(self._store.trimming.trim, channel, up_to, _ROWS))

    def _make_room(self, ceiling: int) -> None:
        """The oldest events go while the log is too large. Each time that the disk becomes nearly full a quarter of them
        goes, but no more: if that was not enough, it is not the log that fills it."""
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
        """Batch after batch, the turn given back in between, until one is not full or this round has had its share."""
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
        """Where some process still reads the old content, the turn is not taken: it could not be begun anew."""
        now = self._clock.monotonic()
        if self._store.checkpoint("PASSIVE"):
            self._held_since = None
            size = wal_bytes(self._path)
            if size > _WAL_BYTES:
                with self._turn():
                    self._store.checkpoint("TRUNCATE" if size > WAL_LIMIT_BYTES else "RESTART")
        elif self._held_since is None:
            self._held_since = now
        self._tell(wal_bytes(self._path), 0 if self._held_since is None else now - self._held_since)

    def _tell(self, size: int, held_seconds: float) -> None:
        """Once while it stays too large, and once when that is over."""
        if size <= WAL_LIMIT_BYTES and self._has_told:
            self._has_told = False
            _log.info("%s-wal is small again: %d MiB.", self._path, size >> 20)
        elif size > _WAL_TOLD_BYTES and held_seconds >= _WAL_TOLD_SECONDS and not self._has_told:
            self._has_told = True
            _log.warning(
                "%s-wal has %d MiB, and grows with all that is published: some process has been reading the log for %d s "
                "without an end. Find it (lsof %s-wal) and end its transaction; then the file shrinks by itself.",
                self._path,
                size >> 20,
                held_seconds,
                self._path,
            )
