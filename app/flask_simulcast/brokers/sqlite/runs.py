"""The runs as a table. The caller passes the time, and appends the events.

Methods that write must be called inside a transaction of the caller.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from ...event import Position, first_key_of
from ...run_state import RunAppend, RunState
from ..lease import MAX_LEASE_SECONDS
from .tables import Tables

_RECORD = "id, user, meta, worker, started_ms, begin_key, begin_tag, events, ending, end_key, end_tag"
_IS_OPEN = "ending = '' AND worker = ? AND id IN (SELECT value FROM json_each(?))"
_IS_LOST = "ending = '' AND (until <= :now OR until > :never)"
_HAS_AGED = "end_key < :oldest"


class Runs(Tables):
    """The records of runs, and the workers' leases on them."""

    def add(self, record: RunState, until: float) -> None:
        """Add a record."""
        id, user, meta, worker, started_ms, begin, *_ = record
        self._db.execute(
            "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, '', NULL, NULL)",
            (id, user, meta, worker, until, started_ms, *begin),
        )

    def takes(self, append: RunAppend) -> bool | None:
        """Tell what becomes of events for a run: None if the caller must append them; else whether an earlier try has
        stored them."""
        row = self._one("SELECT events, ending FROM runs WHERE id = ?", append.run)
        if row is None:
            return False
        events, ending = row
        if append.after is not None and events > append.after:
            return True
        return False if ending else None

    def took(self, append: RunAppend, end: Position) -> None:
        """Note that events were appended to a run, the last of them at a position."""
        if append.after is not None:
            self._db.execute("UPDATE runs SET events = ? WHERE id = ?", (append.after + len(append.drafts), append.run))
        if append.ending:
            self._db.execute(
                "UPDATE runs SET ending = ?, end_key = ?, end_tag = ? WHERE id = ?", (append.ending, *end, append.run)
            )

    def hold(self, worker: str, runs: Iterable[str], until: float) -> None:
        """Renew a worker's leases on those of these runs that have not ended."""
        self._db.execute(f"UPDATE runs SET until = ? WHERE {_IS_OPEN}", (until, worker, json.dumps(list(runs))))

    def open_of(self, worker: str, runs: Iterable[str]) -> dict[str, float]:
        """Return those of these runs that are the worker's and have not ended, and the end of each lease."""
        return dict(self._all(f"SELECT id, until FROM runs WHERE {_IS_OPEN}", worker, json.dumps(list(runs))))

    def find(self, run: str) -> RunState | None:
        """Return one record."""
        row = self._one(f"SELECT {_RECORD} FROM runs WHERE id = ?", run)
        return None if row is None else _record(row)

    def page(self, after: str, limit: int, user: str) -> list[RunState]:
        """Return records in the order of ids."""
        of_user = "user = :user AND user <> '' AND " if user else ""
        rows = self._db.execute(
            f"SELECT {_RECORD} FROM runs WHERE {of_user}id > :after ORDER BY id LIMIT :limit",
            {"user": user, "after": after, "limit": limit},
        )
        return [_record(row) for row in rows.fetchall()]

    # The sweep

    def has_ended(self, now: float, oldest_ms: int) -> bool:
        """Tell whether there is something to sweep. Needs no transaction: most of the time there is not."""
        (found,) = self._db.execute(
            f"SELECT EXISTS (SELECT 1 FROM runs WHERE {_IS_LOST}) OR EXISTS (SELECT 1 FROM runs WHERE {_HAS_AGED})",
            _times(now, oldest_ms),
        ).fetchone()
        return bool(found)

    def lost(self, now: float, rows: int) -> list[str]:
        """Return up to ``rows`` runs whose lease has ended."""
        found = self._db.execute(f"SELECT id FROM runs WHERE {_IS_LOST} LIMIT :rows", {**_times(now, 0), "rows": rows})
        return [run for (run,) in found.fetchall()]

    def forget(self, oldest_ms: int, rows: int) -> int:
        """Delete up to ``rows`` records of runs that ended before a time; return how many were deleted."""
        return self._db.execute(
            f"DELETE FROM runs WHERE id IN (SELECT id FROM runs WHERE {_HAS_AGED} LIMIT :rows)",
            {**_times(0, oldest_ms), "rows": rows},
        ).rowcount


def _times(now: float, oldest_ms: int) -> dict[str, float]:
    return {"now": now, "never": now + MAX_LEASE_SECONDS, "oldest": first_key_of(max(oldest_ms, 0))}


def _record(row: tuple) -> RunState:  # type: ignore[type-arg]
    id, user, meta, worker, started_ms, begin_key, begin_tag, events, ending, *end = row
    begin = Position(begin_key, begin_tag)
    return RunState(id, user, meta, worker, started_ms, begin, events, ending, Position(*end) if ending else None)
