"""What workers agree on beside the log and the register, as tables: leases, small texts, what was revoked.

Whatever writes here does so inside a transaction of its caller.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ..base import MAX_LEASE_SECONDS

Kept = tuple[str, float, float]


class Facts:
    """Times are those of the monotonic clock, but for revocations. It starts anew with the machine: see `is_kept`.

    Args:
        db: The connection of a `Store`.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    # Leases

    def lease(self, name: str) -> tuple[str, float] | None:
        """Who holds it, and until when."""
        lease: tuple[str, float] | None = self._db.execute(
            "SELECT holder, until FROM leases WHERE name = ?", (name,)
        ).fetchone()
        return lease

    def set_lease(self, name: str, holder: str, until: float) -> None:
        """Give it to somebody."""
        self._db.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", (name, holder, until))

    def drop_lease(self, name: str, holder: str) -> None:
        """Take it from somebody who has it."""
        self._db.execute("DELETE FROM leases WHERE name = ? AND holder = ?", (name, holder))

    # Small texts

    def keep(self, name: str, value: str, since: float, until: float) -> None:
        """Keep a text."""
        self._db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", (name, value, since, until))

    def recall(self, name: str, now: float) -> str | None:
        """The text, while its time lasts."""
        row = self._db.execute("SELECT value, since, until FROM kept WHERE name = ?", (name,)).fetchone()
        return _value_of(row, now)

    def take(self, name: str, now: float) -> str | None:
        """The text, and it is gone."""
        rows = self._db.execute("DELETE FROM kept WHERE name = ? RETURNING value, since, until", (name,)).fetchall()
        return _value_of(rows[0] if rows else None, now)

    # Revocation

    def revoke(self, name: str, before_ms: int, until_ms: int) -> None:
        """Both the later time and the longer memory win."""
        self._db.execute(
            "INSERT INTO revoked VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
            " before_ms = max(before_ms, excluded.before_ms), until_ms = max(until_ms, excluded.until_ms)",
            (name, before_ms, until_ms),
        )

    def revoked_before(self, names: Sequence[str], now_ms: int) -> int:
        """The latest time of these that is still remembered; 0 for none."""
        latest = 0
        for name in names:
            row = self._db.execute("SELECT before_ms, until_ms FROM revoked WHERE name = ?", (name,)).fetchone()
            if row is not None and row[1] > now_ms:
                latest = max(latest, row[0])
        return latest

    # What nobody is told any more

    def has_expired(self, now: float, now_ms: int) -> bool:
        """Whether there is any. Outside of a transaction: most of the time there is not."""
        (found,) = self._db.execute(
            "SELECT EXISTS (SELECT 1 FROM kept WHERE until <= ?1) OR EXISTS (SELECT 1 FROM kept WHERE since > ?1)"
            " OR EXISTS (SELECT 1 FROM revoked WHERE until_ms <= ?2)",
            (now, now_ms),
        ).fetchone()
        return bool(found)

    def expire(self, now: float, now_ms: int, rows: int) -> int:
        """Delete so many of it. Answers how many."""
        deleted = 0
        for table, condition, limit in (
            ("kept", "until <= ?", now),
            ("kept", "since > ?", now),
            ("revoked", "until_ms <= ?", now_ms),
        ):
            deleted += self._db.execute(
                f"DELETE FROM {table} WHERE name IN (SELECT name FROM {table} WHERE {condition} LIMIT ?)",
                (limit, rows - deleted),
            ).rowcount
        return deleted


def holds(until: float, now: float) -> bool:
    """Whether a lease still counts. One that ends further away than any may last is from before a reboot."""
    return now < until <= now + MAX_LEASE_SECONDS


def _value_of(row: Kept | None, now: float) -> str | None:
    """A text may be kept for a year. One that was written in the future is from before a reboot."""
    return row[0] if row is not None and row[1] <= now < row[2] else None
