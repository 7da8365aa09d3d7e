"""The log as tables, and every SQL statement that touches events. One connection, one thread at a time; never switches.

``events`` is history and tail in one: a row that was trimmed keeps its key and tag and loses the rest.
So the newest row always tells the last position given out, a pump that reads an emptied row knows that
trimming has passed it, and a resume can tell a position of this log from one of a fork.
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

from ...errors import IdempotencyConflictError
from ...event import Draft, Event, Position, byte_length, next_key
from ..base import Batch, Page, Verdict, common_mark_of, is_other, judge
from .agreements import Agreements
from .register import Register
from .tables import Tables
from .trimming import Trimming

Row = tuple[int, int, str, str, str]
"""Of ``events``."""
Keys = dict[str, tuple[Position, str]]
"""Where the event of an idempotency key stands, and its fingerprint."""
Outcome = list[Position] | IdempotencyConflictError
"""What became of one caller's drafts."""

#: A write-ahead log that was larger is cut down to this when it begins anew. Usually it stays below: see `Maintenance`.
WAL_LIMIT_BYTES = 16 << 20
_READ_EVENTS = 1024
_READ_BYTES = 1 << 20
_SHRINK_PAGES = 1024
# While another process makes the file, or is the last one to close it, not even a pragma goes through.
_OPEN_SECONDS = 1.0
_INSERT = "INSERT INTO events VALUES (?, ?, ?, ?, ?)"
_KNOWN = "SELECT key, tag, fingerprint FROM known LEFT JOIN fingerprints USING (key) WHERE idempotency_key = ?"
# One statement, and so one release of the interpreter lock: in a thread, executemany fights the loop for
# it once a row (p99 483 ms instead of 72 under load). On the loop itself executemany is the cheaper.
_INSERT_ALL = """INSERT INTO events SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'),
    json_extract(value, '$[2]'), json_extract(value, '$[3]'), json_extract(value, '$[4]') FROM json_each(?)"""


class Store(Tables):
    """A connection to the log, which must exist: see `schema.create`.

    Attributes:
        trimming: What is taken out, through the same connection; as are the next two.
        register: Places.
        agreements: Leases, kept texts, revocations.

    Args:
        path: The file.
        busy_ms: How long to wait for somebody who writes without taking turns (an sqlite3 shell, say).
        max_bytes: The file never grows beyond this; an append that needs more is refused.
    """

    def __init__(self, path: str, *, busy_ms: int = 0, max_bytes: int = 0) -> None:
        super().__init__(
            sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=_OPEN_SECONDS, cached_statements=64
            )
        )
        self._close = weakref.finalize(self, self._db.close)  # a connection that is dropped warns of it
        self._close.atexit = False
        self._busy_ms = busy_ms
        self._page_bytes: int = self._one("PRAGMA page_size")[0]
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA wal_autocheckpoint = 0")
        if busy_ms:  # off the loop: what a commit there cuts off, a commit on the loop need not
            self._db.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
        if max_bytes:
            self._db.execute(f"PRAGMA max_page_count = {max_bytes // self._page_bytes}")
        self._db.execute(f"PRAGMA busy_timeout = {busy_ms}")
        self.trimming = Trimming(self._db)
        self.register = Register(self._db)
        self.agreements = Agreements(self._db)

    def close(self) -> None:
        """Close the connection."""
        self._close()

    # Transactions

    def begin(self) -> None:
        """Begin to write. Raises ``sqlite3.OperationalError`` where somebody else does."""
        self._db.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make it last. Never includes a checkpoint."""
        self._db.execute("COMMIT")

    def rollback(self) -> None:
        """Undo, if there is anything to undo."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    # Appending, inside a transaction

    def append(self, drafts: Sequence[Draft], now_ms: int, *, in_thread: bool) -> list[Position]:
        """Give positions and store, in this transaction.

        Raises:
            IdempotencyConflictError: A key is known with another fingerprint. Nothing is stored.
        """
        if not drafts:
            return []
        rows: list[Row] = []
        keys: Keys = {}
        positions = self._place(drafts, self.head().key, now_ms, rows, keys)
        self._insert(rows, keys, in_thread)
        return positions

    def append_each(self, batches: Sequence[Sequence[Draft]], now_ms: int, *, in_thread: bool) -> list[Outcome]:
        """The same for several callers, each of them whole or not at all: a conflict is its own caller's outcome."""
        head = self.head().key
        rows: list[Row] = []
        keys: Keys = {}
        outcomes: list[Outcome] = []
        for drafts in batches:
            placed, known = len(rows), len(keys)
            try:
                outcomes.append(self._place(drafts, rows[-1][0] if rows else head, now_ms, rows, keys))
            except IdempotencyConflictError as error:
                outcomes.append(error)
                del rows[placed:]
                for key in list(keys)[known:]:
                    del keys[key]
        self._insert(rows, keys, in_thread)
        return outcomes

    def _place(self, drafts: Sequence[Draft], last: int, now_ms: int, rows: list[Row], keys: Keys) -> list[Position]:
        """Positions for a batch. Their keys are computed here, inside the transaction: before it, a pump that is past a later
        position would never see this one.

        Args:
            last: The key of the last position given out.
            rows: Those of new events are added.
            keys: Idempotency keys of this transaction; those of new events are added.

        Raises:
            IdempotencyConflictError: What was added to ``rows`` and ``keys`` is to be taken out again.
        """
        tags = memoryview(os.urandom(4 * len(drafts))).cast("I")
        positions: list[Position] = []
        for draft, tag in zip(drafts, tags, strict=True):
            if draft.key is not None and (old := self._known(draft, keys)) is not None:
                positions.append(old)
                continue
            last = next_key(last, now_ms)
            position = Position(last, tag)
            positions.append(position)
            rows.append((last, tag, draft.channel, draft.type, draft.data))
            if draft.key is not None:
                keys[draft.key] = (position, draft.fingerprint)
        return positions

    def _known(self, draft: Draft, keys: Keys) -> Position | None:
        """Where the event of this key stands, if the log has it, or has been given it in this transaction."""
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
        """The newest row. Trimming never takes it, so it is the last position given out."""
        return Position(*self._one("SELECT key, tag FROM events ORDER BY key DESC LIMIT 1"))

    def read(self, after: Position) -> Batch:
        """Events of all channels, up to 1024 of them or 1 MiB."""
        events: list[Event] = []
        passed = False
        size = 0
        cursor = self._db.execute(
            "SELECT key, tag, channel, type, data FROM events WHERE key > ? ORDER BY key LIMIT ?",
            (after.key, _READ_EVENTS),
        )
        with closing(cursor):
            for key, tag, channel, type, data in cursor:
                if channel is None:
                    passed = True
                    continue
                events.append(Event(Position(key, tag), channel, type, data))
                size += byte_length(data)
                if size > _READ_BYTES:
                    break
        # Asked after the events: what was swept before they were read shows here.
        return Batch(events, passed or self._meta("floor").key > after.key + 1)

    def page(self, channels: Sequence[str], after: Position, up_to: Position, max_bytes: int) -> Page:
        """Events of these channels, and their marks, in one snapshot."""
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
            # Merged row by row, not by SQL, which would sort all that is left for every page of it.
            for key, tag, channel, type, data in heapq.merge(*cursors, key=itemgetter(0)):
                size += byte_length(data)
                if events and size > max_bytes:
                    covered_to = events[-1].position
                    break
                events.append(Event(Position(key, tag), channel, type, data))
            for cursor in cursors:
                cursor.close()
        finally:
            self._db.execute("COMMIT")
        return Page(events, covered_to, marks)

    def verdict(self, position: Position, channels: Sequence[str]) -> Verdict:
        """Judged from one snapshot."""
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
        """Where a replay of so many begins, from one snapshot. Takes as many steps."""
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
            # The row before may have been swept. What is below the floor is known by its key alone.
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
        """Size of the file, without pages that wait to be used again."""
        pages = self._one("PRAGMA page_count")[0] - self._one("PRAGMA freelist_count")[0]
        return int(pages * self._page_bytes)

    def checkpoint(self, mode: str) -> bool:
        """Move what is in the write-ahead log into the file. PASSIVE disturbs nobody; RESTART, with the
        turn held, also lets the next appender begin at its start, or it would grow without end; TRUNCATE gives
        its space back. Waits for no reader: a frozen one would keep the turn from all who publish.

        Returns:
            Whether all was moved. If not, some process still reads what was there before.
        """
        self._db.execute("PRAGMA busy_timeout = 0")
        try:
            is_busy, frames, moved = self._one(f"PRAGMA wal_checkpoint({mode})")
        finally:
            self._db.execute(f"PRAGMA busy_timeout = {self._busy_ms}")
        return not is_busy and moved == frames

    def shrink(self) -> None:
        """Give some of the pages that wait to be used again back to the disk. With the turn held."""
        # As a script: a plain execute takes one step of it, which is one page.
        self._db.executescript(f"PRAGMA incremental_vacuum({_SHRINK_PAGES});")
