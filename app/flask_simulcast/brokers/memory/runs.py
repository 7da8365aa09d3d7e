"""The runs in memory. The caller passes the time, and gets the events to append."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence

from ...event import Draft, Position
from ...run_state import FAILED, RunAppend, RunState, lost_draft

Append = Callable[[Sequence[Draft]], list[Position]]


class Runs:
    """The records of runs, and the workers' leases on them.

    Args:
        append: Appends events to the log.
    """

    def __init__(self, append: Append) -> None:
        self._append_to_log = append
        self._records: dict[str, RunState] = {}
        self._leases: dict[str, float] = {}  # of the runs that have not ended

    def begin(self, record: RunState, until: float) -> tuple[RunState, bool]:
        """Add a record, unless the run is known."""
        known = self._records.get(record.id)
        if known is not None:
            return known, False
        self._records[record.id] = record
        self._leases[record.id] = until
        return record, True

    def append(self, appended: RunAppend) -> bool:
        """Append events to a run; return whether it has them."""
        record = self._records.get(appended.run)
        if record is None:
            return False
        if appended.after is not None and record.events > appended.after:
            return True  # an earlier try has stored them
        if record.ending:
            return False
        end = self._append_to_log(appended.drafts)[-1]
        if appended.after is not None:
            record = record._replace(events=appended.after + len(appended.drafts))
        if appended.ending:
            record = record._replace(ending=appended.ending, end=end)
            del self._leases[record.id]
        self._records[record.id] = record
        return True

    def hold(self, worker: str, runs: Iterable[str], until: float) -> set[str]:
        """Renew a worker's leases on these runs; return the ids of those that have not ended."""
        held = {run for run in runs if run in self._leases and self._records[run].worker == worker}
        self._leases.update(dict.fromkeys(held, until))
        return held

    def find(self, run: str) -> RunState | None:
        """Return one record."""
        return self._records.get(run)

    def page(self, after: str, limit: int, user: str) -> list[RunState]:
        """Return records in the order of ids."""
        found = (one for one in self._records.values() if one.id > after and user in ("", one.user))
        return heapq.nsmallest(limit, found, key=lambda one: one.id)

    def sweep(self, now: float, oldest_ms: float) -> None:
        """End the runs whose lease has ended, and forget those that ended before a time."""
        for run in [run for run, until in self._leases.items() if until <= now]:
            self.append(RunAppend(run, [lost_draft(run)], ending=FAILED))
        for record in list(self._records.values()):
            if record.end is not None and record.end.milliseconds < oldest_ms:
                del self._records[record.id]
