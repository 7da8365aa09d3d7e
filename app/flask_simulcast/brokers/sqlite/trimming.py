"""Remove data from the log, as SQL: events from histories, rows from the tail, marks, idempotency keys."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from typing import Literal

from ...event import ALL, Position
from ..base import common_mark_of
from .tables import Tables

_MARK = "INSERT INTO marks VALUES (?, ?, ?) ON CONFLICT (channel) DO UPDATE SET key = excluded.key, tag = excluded.tag"
# Higher than every key.
NO_KEY = 1 << 63


class Trimming(Tables):
    """Statements that remove a bounded number of rows, and statements that find such rows."""

    # Inside a transaction

    def trim(self, channel: str, up_to: int, rows: int) -> int:
        """Empty up to ``rows`` of a channel's oldest events; return how many were emptied."""
        old = self._all(
            "SELECT key, tag FROM events WHERE channel = ? AND key <= ? ORDER BY key LIMIT ?", channel, up_to, rows
        )
        if old:
            key, tag = old[-1]
            self._db.execute(
                "UPDATE events SET channel = NULL, type = NULL, data = NULL WHERE channel = ? AND key <= ?",
                (channel, key),
            )
            self._db.execute(_MARK, (channel, key, tag))
        return len(old)

    def sweep(self, up_to: int, rows: int, enough_bytes: int = 1 << 62) -> int:
        """Delete up to ``rows`` of the oldest rows of the tail, with their events, and return how many; never the newest row.
        Stops once it has freed ``enough_bytes`` of data."""
        old = self._all(
            "SELECT key, tag, channel, length(data) FROM events WHERE key <= ? AND key < (SELECT max(key) FROM events)"
            " ORDER BY key LIMIT ?",
            up_to,
            rows,
        )
        freed = list(itertools.accumulate(length or 0 for *_, length in old))
        old = old[: bisect_left(freed, enough_bytes) + 1]
        if old:
            marks = {channel: (channel, key, tag) for key, tag, channel, _ in old if channel is not None}
            self._db.executemany(_MARK, marks.values())
            self._db.execute("DELETE FROM events WHERE key <= ?", (old[-1][0],))
            self._set_meta("floor", Position(old[-1][0] + 1, 0))
        return len(old)

    def forget(self, before: int, rows: int) -> int:
        """Fold the marks that are older than ``before``, of channels without events, into their common mark."""
        gone = self._all(
            "SELECT key, tag, channel FROM marks WHERE key < ? AND channel <> ? AND NOT EXISTS"
            " (SELECT 1 FROM events WHERE events.channel = marks.channel) LIMIT ?",
            before,
            ALL,
            rows,
        )
        for key, tag, channel in gone:
            common = common_mark_of(channel)
            assert common is not None
            if (key, tag) > self._meta(common):
                self._set_meta(common, Position(key, tag))
        self._db.executemany("DELETE FROM marks WHERE channel = ?", [(channel,) for _, _, channel in gone])
        return len(gone)

    def drop_known_keys(self, up_to: int, rows: int) -> int:
        """Forget the idempotency keys of events up to here."""
        gone = [
            self._db.execute(
                f"DELETE FROM {table} WHERE key IN (SELECT key FROM {table} WHERE key <= ? LIMIT ?)", (up_to, rows)
            ).rowcount
            for table in ("known", "fingerprints")
        ]
        return max(gone)

    # These need no transaction: most of the time there is nothing to do

    def newest_but(self, channel: str, keep: int) -> int:
        """Return the key of a channel's newest event behind the newest ``keep``; 0 if there is none. Takes ``keep`` steps."""
        row = self._one("SELECT key FROM events WHERE channel = ? ORDER BY key DESC LIMIT 1 OFFSET ?", channel, keep)
        return 0 if row is None else int(row[0])

    def oldest_of(self, channel: str) -> int:
        """Return the key of a channel's oldest event."""
        row = self._one("SELECT key FROM events WHERE channel = ? ORDER BY key LIMIT 1", channel)
        return NO_KEY if row is None else int(row[0])

    def oldest(self, table: Literal["events", "known"]) -> int:
        """Return the lowest key of a table."""
        row = self._one(f"SELECT key FROM {table} ORDER BY key LIMIT 1")
        return NO_KEY if row is None else int(row[0])

    def growth(self, after: int, up_to: int) -> list[tuple[str, int]]:
        """Return the channels with events in this range, and the number of those."""
        return self._all(
            "SELECT channel, count(*) FROM events NOT INDEXED WHERE key > ? AND key <= ? AND channel IS NOT NULL"
            " GROUP BY channel",
            after,
            up_to,
        )

    def channels_after(self, channel: str, limit: int) -> list[str]:
        """Return the next channels in the order of their names, with one index look-up each."""
        names: list[str] = []
        while len(names) < limit:
            row = self._one("SELECT channel FROM events WHERE channel > ? ORDER BY channel LIMIT 1", channel)
            if row is None:
                break
            channel = row[0]
            names.append(channel)
        return names
