"""The log as tables, and every SQL statement that touches events. One connection, one thread at a time; never switches.

``events`` is history and tail in one: a trimmed row keeps its key and tag and loses the rest. So the newest
row always has the last position given out, a pump that reads an emptied row knows that trimming has passed
it, and a resume can tell a position of this log from one of a fork.
"""

from __future__ import annotations

import heapq
import itertools
import json
import os
import sqlite3
import weakref
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from operator import itemgetter

from ...data import byte_length
from ...errors import IdempotencyConflictError
from ...event import Draft, Event, Position, next_key
from ...run_state import RunAppend
from ..base import PAGE_EVENTS, Batch, Page, Positions, Verdict, common_mark_of, is_other, judge
from .agreements import Agreements
from .register import Register
from .runs import Runs
from .summaries import Summaries
from .tables import Tables
from .trimming import Trimming

Row = tuple[int, int, str, str, str]
"""A row of ``events``: key, tag, channel, type, data."""
Keys = dict[str, tuple[Position, str]]
"""By idempotency key: the position of its event, and the fingerprint."""
Outcome = Positions | IdempotencyConflictError
"""The result for one caller's drafts."""

_READ_EVENTS = 1024
_READ_BYTES = 1 << 20
_SHRINK_PAGES = 1024
# While another process makes the file, or is the last to close it, even a pragma fails. The connection retries for this time.
_OPEN_SECONDS = 1.0
_INSERT = "INSERT INTO events VALUES (?, ?, ?, ?, ?)"
_READ = """SELECT key, tag, channel, type, data, (SELECT key FROM meta WHERE name = 'floor') FROM events
    WHERE key > ? ORDER BY key LIMIT ?"""
_KNOWN = "SELECT key, tag, fingerprint FROM known LEFT JOIN fingerprints USING (key) WHERE idempotency_key = ?"
# One statement releases the interpreter lock once. In a thread, executemany competes with the loop for
# it once per row (p99 483 ms instead of 72 under load). On the loop itself executemany is cheaper.
_INSERT_ALL = """INSERT INTO events SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'),
    json_extract(value, '$[2]'), json_extract(value, '$[3]'), json_extract(value, '$[4]') FROM json_each(?)"""


class Store(Tables):
    """A connection to the log, which must exist: see `schema.create`.

    Attributes:
        trimming: The statements that trim, on the same connection.
        register: The places, on the same connection.
        runs: The records of runs, on the same connection.
        summaries: What there is of each channel, on the same connection.
        agreements: The leases, kept texts and revocations, on the same connection.

    Args:
        path: The file.
        busy_ms: Milliseconds to wait for a writer that does not take the write lock (an sqlite3 shell, for example).
        max_bytes: Largest size of the file; an append that needs more is refused.
    """

    def __init__(self, path: str, *, busy_ms: int = 0, max_bytes: int = 0) -> None:
        super().__init__(
            sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=_OPEN_SECONDS, cached_statements=64
            )
        )
        self._close = weakref.finalize(self, self._db.close)  # a connection collected while open raises a warning
        self._close.atexit = False
        self._busy_ms = busy_ms
        self._page_bytes: int = self._one("PRAGMA page_size")[0]
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA wal_autocheckpoint = 0")
        if max_bytes:
            self._db.execute(f"PRAGMA max_page_count = {max_bytes // self._page_bytes}")
        self._db.execute(f"PRAGMA busy_timeout = {busy_ms}")
        self.trimming = Trimming(self._db)
        self.register = Register(self._db)
        self.runs = Runs(self._db)
        self.summaries = Summaries(self._db)
        self.agreements = Agreements(self._db)

    def close(self) -> None:
        """Close the connection."""
        self._close()

    # Transactions

    def begin(self) -> None:
        """Begin a write transaction. Raises ``sqlite3.OperationalError`` while another connection writes."""
        self._db.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Commit the transaction. Never includes a checkpoint."""
        self._db.execute("COMMIT")

    def rollback(self) -> None:
        """Roll the transaction back, if there is one."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    # Appending, inside a transaction

    def append(self, drafts: Sequence[Draft], now_ms: int, *, in_thread: bool) -> Positions:
        """Give the drafts positions and store them, in this transaction.

        Raises:
            IdempotencyConflictError: A key is known with another fingerprint. Nothing is stored.
        """
        if not drafts:
            return Positions()
        rows: list[Row] = []
        keys: Keys = {}
        positions = self._place(drafts, self.head(), now_ms, rows, keys)
        self._insert(rows, keys, in_thread)
        return positions

    def append_to_runs(self, appends: Sequence[RunAppend], now_ms: int) -> list[bool]:
        """Append events to runs, for each run all or none; return for each whether it has them now."""
        stored: list[bool] = []
        rows: list[Row] = []
        last = self.head()
        for append in appends:
            answer = self.runs.takes(append)
            if answer is None:
                last = self._place(append.drafts, last, now_ms, rows, {})[-1]
                self.runs.took(append, last)
            stored.append(answer is not False)
        self._insert(rows, {}, in_thread=True)
        return stored

    def append_each(self, batches: Sequence[Sequence[Draft]], now_ms: int, *, in_thread: bool) -> list[Outcome]:
        """Store the drafts of several callers, each batch completely or not at all. A conflict is the outcome of its own
        caller only."""
        last = self.head()
        rows: list[Row] = []
        keys: Keys = {}
        outcomes: list[Outcome] = []
        for drafts in batches:
            placed, known = len(rows), len(keys)
            try:
                outcomes.append(self._place(drafts, last, now_ms, rows, keys))
                last = Position(*rows[-1][:2]) if rows else last
            except IdempotencyConflictError as error:
                outcomes.append(error)
                del rows[placed:]
                for key in list(keys)[known:]:
                    del keys[key]
        self._insert(rows, keys, in_thread)
        return outcomes

    def _place(self, drafts: Sequence[Draft], last: Position, now_ms: int, rows: list[Row], keys: Keys) -> Positions:
        """Compute the positions of a batch. Their keys are computed inside the transaction. Keys computed before it might be
        stored after a later position, and a pump that has passed that position would never see them.

        Args:
            last: The last position given out.
            rows: Rows to store; those of new events are added.
            keys: Idempotency keys of this transaction; those of new events are added.

        Raises:
            IdempotencyConflictError: The caller must remove what was added to ``rows`` and ``keys``.
        """
        tags = memoryview(os.urandom(4 * len(drafts))).cast("I")
        positions = Positions(after=last)
        key = last.key
        for draft, tag in zip(drafts, tags, strict=True):
            if draft.key is not None and (old := self._known(draft, keys)) is not None:
                positions.append(old)
                positions.after = None
                continue
            key = next_key(key, now_ms)
            position = Position(key, tag)
            positions.append(position)
            rows.append((key, tag, draft.channel, draft.type, draft.data))
            if draft.key is not None:
                keys[draft.key] = (position, draft.fingerprint)
        return positions

    def _known(self, draft: Draft, keys: Keys) -> Position | None:
        """Return the position of the event with this idempotency key, if the log or this transaction has it."""
        found = keys.get(str(draft.key))
        if found is None:
            row = self._one(_KNOWN, draft.key)
            if row is None:
                return None
            found = (Position(row[0], row[1]), row[2] or "")
        if is_other(found[1], draft.fingerprint):
            raise IdempotencyConflictError
        return found[0]

    def _insert(self, rows: list[Row], keys: Keys, in_thread: bool) -> None:
        if in_thread:
            self._db.execute(_INSERT_ALL, (json.dumps(rows),))
        else:
            self._db.executemany(_INSERT, rows)
        if keys:
            self._db.executemany("INSERT INTO known VALUES (?, ?, ?)", [(*at, key) for key, (at, _) in keys.items()])
            prints = [(at.key, fingerprint) for at, fingerprint in keys.values() if fingerprint]
            self._db.executemany("INSERT INTO fingerprints VALUES (?, ?)", prints)

    # Reading

    def head(self) -> Position:
        """Return the position of the newest row. Trimming never removes it, so it is the last position given out."""
        return Position(*self._one("SELECT key, tag FROM events ORDER BY key DESC LIMIT 1"))

    def read(self, after: Position) -> Batch:
        """Return events of all channels after a position, up to 1024 of them or about 1 MiB."""
        events: list[Event] = []
        passed = has_more = False
        size = rows = floor = 0
        # In the same statement the floor is that of the events' snapshot, and costs nothing.
        cursor = self._db.execute(_READ, (after.key, _READ_EVENTS))
        with closing(cursor):
            for key, tag, channel, type, data, floor in cursor:  # noqa: B007 - the same in each row
                rows += 1
                if channel is None:
                    passed = True
                    continue
                events.append(Event(Position(key, tag), channel, type, data))
                size += byte_length(data)
                if size > _READ_BYTES:
                    has_more = True
                    break
        if not rows:
            floor = self._meta("floor").key
        return Batch(events, passed or floor > after.key + 1, has_more or rows == _READ_EVENTS)

    def page(self, channels: Sequence[str], after: Position, up_to: Position, max_bytes: int) -> Page:
        """Return events of these channels, and their marks, from one snapshot."""
        events: list[Event] = []
        covered_to = up_to
        size = 0
        self._db.execute("BEGIN")
        try:
            marks = self._marks_after(after, channels)
            cursors = [
                self._db.execute(
                    "SELECT key, tag, channel, type, data FROM events WHERE channel = ? AND key > ? AND key <= ? ORDER BY key",
                    (channel, after.key, up_to.key),
                )
                for channel in set(channels)
            ]
            # Merged here row by row: SQL would sort all remaining rows for every page.
            for key, tag, channel, type, data in heapq.merge(*cursors, key=itemgetter(0)):
                size += byte_length(data)
                if events and (size > max_bytes or len(events) == PAGE_EVENTS):
                    covered_to = events[-1].position
                    break
                events.append(Event(Position(key, tag), channel, type, data))
            for cursor in cursors:
                cursor.close()
        finally:
            self._db.execute("COMMIT")
        return Page(events, covered_to, marks)

    def verdict(self, position: Position, channels: Sequence[str]) -> Verdict:
        """Judge, from one snapshot, whether a listener at this position can get exactly what it missed."""
        self._db.execute("BEGIN")
        try:
            row = self._one("SELECT tag FROM events WHERE key = ?", position.key)
            is_known = row[0] == position.tag if row is not None else position.key < self._meta("floor").key
            return judge(
                position,
                channels,
                birth=self._meta("birth"),
                head=self.head(),
                is_known=is_known,
                marks=self._marks_after(position, channels),
            )
        finally:
            self._db.execute("COMMIT")

    def newest(self, channels: Sequence[str], count: int) -> Position:
        """Return the position where a replay of ``count`` events begins, from one snapshot. Takes ``count`` steps."""
        self._db.execute("BEGIN")
        try:
            cursors = [
                self._db.execute("SELECT key FROM events WHERE channel = ? ORDER BY key DESC LIMIT ?", (channel, count))
                for channel in set(channels)
            ]
            newest_first = heapq.merge(*cursors, reverse=True)
            oldest = next(iter(deque(itertools.islice(newest_first, count), maxlen=1)), None)
            for cursor in cursors:
                cursor.close()
            if oldest is None:
                return self.head()
            row = self._one("SELECT key, tag FROM events WHERE key < ? ORDER BY key DESC LIMIT 1", *oldest)
            # The row before might have been swept. A position below the floor is recognised by its key alone.
            before = Position(*row) if row is not None else Position(self._meta("floor").key - 1, 0)
            return max([before, *self._marks_after(before, channels).values()])
        finally:
            self._db.execute("COMMIT")

    def _marks_after(self, position: Position, channels: Sequence[str]) -> dict[str, Position]:
        commons: dict[str, Position] = {}
        marks = {}
        for channel in channels:
            row = self._one("SELECT key, tag FROM marks WHERE channel = ?", channel)
            if row is not None:
                mark = Position(*row)
            elif (common := common_mark_of(channel)) is not None:
                mark = commons[common] = commons.get(common) or self._meta(common)
            else:
                continue
            if mark.key > position.key:
                marks[channel] = mark
        return marks

    # The file itself

    def used_bytes(self) -> int:
        """Return the size of the file, without its free pages."""
        pages = self._one("PRAGMA page_count")[0] - self._one("PRAGMA freelist_count")[0]
        return int(pages * self._page_bytes)

    def checkpoint(self, mode: str) -> int | None:
        """Move the content of the write-ahead log into the file. Never waits for a reader: a frozen one would stop every
        publisher.

        Args:
            mode: PASSIVE disturbs no other process. RESTART, with the write lock held, also makes the next appender write
                at the start of the write-ahead log, which would otherwise grow without end. TRUNCATE gives its space back.

        Returns:
            Bytes of the write-ahead log that were written since it last started over, if all of them have moved. None if
            some process still reads the old content.
        """
        self._db.execute("PRAGMA busy_timeout = 0")
        try:
            is_busy, frames, moved = self._one(f"PRAGMA wal_checkpoint({mode})")
        finally:
            self._db.execute(f"PRAGMA busy_timeout = {self._busy_ms}")
        return None if is_busy or moved < frames else int(frames * self._page_bytes)

    def shrink(self) -> None:
        """Give some free pages back to the disk. The caller must hold the write lock."""
        # Run as a script: a plain execute takes one step, which frees one page.
        self._db.executescript(f"PRAGMA incremental_vacuum({_SHRINK_PAGES});")
