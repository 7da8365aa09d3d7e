"""What workers share beside the log and the register, as tables: leases, small texts, revocations.

Methods that write must be called inside a transaction of the caller.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..lease import MAX_LEASE_SECONDS
from .tables import Tables

_Kept = tuple[str, float, float]  # value, since, until


class Agreements(Tables):
    """Leases, texts and revocations. Times are monotonic, except those of revocations, which are wall clock. The monotonic
    clock starts again when the machine does; rows from before a reboot are recognised, and don't count."""

    # Leases

    def lease(self, name: str) -> tuple[str, float] | None:
        """Return the holder of a lease, and its end."""
        return self._one("SELECT holder, until FROM leases WHERE name = ?", name)

    def set_lease(self, name: str, holder: str, until: float) -> None:
        """Give a lease to a holder."""
        self._db.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", (name, holder, until))

    def drop_lease(self, name: str, holder: str) -> None:
        """Delete a lease, if this holder has it."""
        self._db.execute("DELETE FROM leases WHERE name = ? AND holder = ?", (name, holder))

    # Small texts

    def put_text(self, name: str, value: str, since: float, until: float) -> None:
        """Keep a text until a time."""
        self._db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", (name, value, since, until))

    def get_text(self, name: str, now: float) -> str | None:
        """Return the text; None after its time."""
        return _value_of(self._one("SELECT value, since, until FROM kept WHERE name = ?", name), now)

    def pop_text(self, name: str, now: float) -> str | None:
        """Return the text and forget it."""
        rows = self._all("DELETE FROM kept WHERE name = ? RETURNING value, since, until", name)
        return _value_of(rows[0] if rows else None, now)

    # Revocation

    def revoke(self, name: str, before_ms: int, until_ms: int) -> None:
        """Remember a revocation. If the name has one already, keep the later of both times and of both ends."""
        self._db.execute(
            "INSERT INTO revoked VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
            " before_ms = max(before_ms, excluded.before_ms), until_ms = max(until_ms, excluded.until_ms)",
            (name, before_ms, until_ms),
        )

    def revoked_before(self, names: Sequence[str], now_ms: int) -> int:
        """Return the latest revoked time of these names that is still remembered; 0 if there is none."""
        latest = 0
        for name in names:
            row = self._one("SELECT before_ms, until_ms FROM revoked WHERE name = ?", name)
            if row is not None and row[1] > now_ms:
                latest = max(latest, row[0])
        return latest

    # Expiry

    def has_expired(self, now: float, now_ms: int) -> bool:
        """Tell whether rows have expired. Needs no transaction: most of the time there are none."""
        (found,) = self._one(
            "SELECT EXISTS (SELECT 1 FROM kept WHERE until <= :now) OR EXISTS (SELECT 1 FROM kept WHERE since > :now)"
            " OR EXISTS (SELECT 1 FROM revoked WHERE until_ms <= :now_ms)",
            now=now,
            now_ms=now_ms,
        )
        return bool(found)

    def expire(self, now: float, now_ms: int, rows: int) -> int:
        """Delete up to ``rows`` expired rows; return how many were deleted."""
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
    """Tell whether a lease still counts. A lease that ends later than the longest lease would is from before a reboot."""
    return now < until <= now + MAX_LEASE_SECONDS


def _value_of(row: _Kept | None, now: float) -> str | None:
    """Return the text of a row within its time. A row written in the future is from before a reboot: a text might be kept
    for a year, so its end tells nothing."""
    return row[0] if row is not None and row[1] <= now < row[2] else None
