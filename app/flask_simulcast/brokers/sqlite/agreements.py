"""What workers agree on beside the log and the register, as tables: leases, small texts, what was revoked.

Whatever writes here does so inside a transaction of its caller.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..base import MAX_LEASE_SECONDS
from .tables import Tables

_Kept = tuple[str, float, float]  # value, since, until


class Agreements(Tables):
    """Times are those of the monotonic clock, but for revocations. It starts anew with the machine: what is from before
    that is recognised, and does not count."""

    # Leases

    def lease(self, name: str) -> tuple[str, float] | None:
        """Who holds it, and until when."""
        return self._one("SELECT holder, until FROM leases WHERE name = ?", name)

    def set_lease(self, name: str, holder: str, until: float) -> None:
        """Give it to somebody."""
        self._db.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", (name, holder, until))

    def drop_lease(self, name: str, holder: str) -> None:
        """Take it from somebody who has it."""
        self._db.execute("DELETE FROM leases WHERE name = ? AND holder = ?", (name, holder))

    # Small texts

    def put_text(self, name: str, value: str, since: float, until: float) -> None:
        """Keep a text."""
        self._db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", (name, value, since, until))

    def get_text(self, name: str, now: float) -> str | None:
        """The text, while its time lasts."""
        return _value_of(self._one("SELECT value, since, until FROM kept WHERE name = ?", name), now)

    def pop_text(self, name: str, now: float) -> str | None:
        """The text, and it is gone."""
        rows = self._all("DELETE FROM kept WHERE name = ? RETURNING value, since, until", name)
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
            row = self._one("SELECT before_ms, until_ms FROM revoked WHERE name = ?", name)
            if row is not None and row[1] > now_ms:
                latest = max(latest, row[0])
        return latest

    # What nobody is told any more

    def has_expired(self, now: float, now_ms: int) -> bool:
        """Whether there is any. Outside of a transaction: most of the time there is not."""
        (found,) = self._one(
            "SELECT EXISTS (SELECT 1 FROM kept WHERE until <= ?1) OR EXISTS (SELECT 1 FROM kept WHERE since > ?1)"
            " OR EXISTS (SELECT 1 FROM revoked WHERE until_ms <= ?2)",
            now,
            now_ms,
        )
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


def _value_of(row: _Kept | None, now: float) -> str | None:
    """A text may be kept for a year. One that was written in the future is from before a reboot."""
    return row[0] if row is not None and row[1] <= now < row[2] else None
