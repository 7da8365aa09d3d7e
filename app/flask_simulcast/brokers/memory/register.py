"""The register of places in memory. The caller passes the time, and gets the events to append."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...event import Draft
from ...presence import Member, Place, Presence, join_draft, leave_draft, presences_of


@dataclass(slots=True)
class _Entry:
    place: Place
    worker: str
    until: float | None = None  # the end of its grace


class Register:
    """Places, the workers' leases on them, and the members that they make present."""

    def __init__(self) -> None:
        self._workers: dict[str, float] = {}
        self._entries: dict[str, _Entry] = {}
        self._present: dict[str, dict[str, dict[str, Place]]] = {}  # channel, member, listener

    def has_lease(self, worker: str, now: float) -> bool:
        """Tell whether the worker's lease still holds."""
        return self._workers.get(worker, now) > now

    def renew(self, worker: str, until: float) -> None:
        """Take or renew the worker's lease."""
        self._workers[worker] = until

    def end(self, worker: str, until: float) -> None:
        """End the worker's lease. Each of its places gets an end of its own."""
        self._workers.pop(worker, None)
        for entry in self._entries.values():
            if entry.worker == worker:
                entry.until = until if entry.until is None else min(entry.until, until)

    def add(self, worker: str, come: Sequence[Place], now_ms: int) -> list[Draft]:
        """Add or replace places; return the join and leave events."""
        places = {place.listener: place for place in come}
        coming = presences_of(places.values())
        joining = self._absent(coming)
        leaving = presences_of(self._remove(places))
        for place in places.values():
            self._entries[place.listener] = _Entry(place._replace(worker=worker), worker)
            for channel, member in place.presences:
                self._present.setdefault(channel, {}).setdefault(member, {})[place.listener] = place
        drafts = [leave_draft(*presence, leaving[presence].meta, now_ms) for presence in self._absent(leaving)]
        return drafts + [join_draft(*presence, coming[presence].meta, now_ms) for presence in joining]

    def shorten(self, worker: str, gone: Sequence[str], until: float) -> None:
        """Set the end of the places of gone listeners. A place that has an end already keeps it."""
        for listener in gone:
            entry = self._entries.get(listener)
            if entry is not None and entry.worker == worker and entry.until is None:
                entry.until = until

    def sweep(self, now: float, now_ms: int) -> list[Draft]:
        """Remove the places that have ended, by their grace or by the lease of their worker; return the leave events."""
        ended = {worker for worker, until in self._workers.items() if until <= now}
        over = [
            listener
            for listener, entry in self._entries.items()
            if entry.worker in ended or (entry.until is not None and entry.until <= now)
        ]
        leaving = presences_of(self._remove(over))
        for worker in ended:
            del self._workers[worker]
        return [leave_draft(*presence, leaving[presence].meta, now_ms) for presence in self._absent(leaving)]

    def place(self, listener: str, now: float) -> Place | None:
        """Return the place of a connected listener."""
        entry = self._entries.get(listener)
        return entry.place if entry is not None and self._is_connected(entry, now) else None

    def places(self, after: str, limit: int, channel: str, user: str, now: float) -> list[Place]:
        """Return places of a channel or user, in the order of ids."""
        found = (
            entry.place
            for listener, entry in self._entries.items()
            if listener > after
            and user in ("", entry.place.user)
            and (not channel or channel in entry.place.channels)
            and self._is_connected(entry, now)
        )
        return heapq.nsmallest(limit, found, key=lambda place: place.listener)

    def members(self, channel: str, after: str, limit: int) -> list[Member]:
        """Return the members that are present, in the order of names."""
        present = self._present.get(channel, {})
        names = heapq.nsmallest(limit, (name for name in present if name > after))
        members = []
        for name in names:
            first = min(present[name].values(), key=lambda place: (place.since_ms, place.listener))
            members.append(Member(name, first.meta, first.since_ms, len(present[name])))
        return members

    def count(self) -> Counter[str]:
        """Return the number of places of each channel."""
        return Counter(channel for entry in self._entries.values() for channel in entry.place.channels)

    def _is_connected(self, entry: _Entry, now: float) -> bool:
        return entry.until is None and self.has_lease(entry.worker, now)

    def _absent(self, presences: Iterable[Presence]) -> list[Presence]:
        """Return the presences that have no place."""
        return [(channel, member) for channel, member in presences if member not in self._present.get(channel, {})]

    def _remove(self, listeners: Iterable[str]) -> list[Place]:
        """Remove the places of these listeners; return the removed places."""
        removed = []
        for listener in listeners:
            entry = self._entries.pop(listener, None)
            if entry is None:
                continue
            removed.append(entry.place)
            for channel, member in entry.place.presences:
                members = self._present[channel]
                del members[member][listener]
                if not members[member]:
                    del members[member]
                if not members:
                    del self._present[channel]
        return removed
