"""The register of places as tables. The caller passes the time, and gets the events to append.

Methods that write must be called inside a transaction of the caller. One statement writes all rows, as JSON: in a thread,
one statement per row competes with the loop for the interpreter lock.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from ...event import Draft
from ...presence import Member, Place, Presence, join_draft, leave_draft, presences_of
from ..lease import MAX_LEASE_SECONDS
from .agreements import holds
from .tables import Tables

_PLACE = "p.listener, p.user, p.member, p.channels, p.present_on, p.meta, p.token_id, p.encoding, p.since_ms, p.worker"
_INSERT = f"""INSERT OR REPLACE INTO places
    SELECT {", ".join(f"json_extract(value, '$[{n}]')" for n in range(10))}, NULL FROM json_each(?)"""
_INSERT_LISTENING = """INSERT OR REPLACE INTO listening
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(?)"""
_DELETE_LISTENING = """DELETE FROM listening WHERE (channel, listener) IN
    (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?))"""
_ABSENT = """SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)
    WHERE NOT EXISTS (SELECT 1 FROM listening WHERE channel = json_extract(value, '$[0]')
    AND member = json_extract(value, '$[1]') AND member <> '')"""
# A time in the past, or later than the longest lease allows: that row was written before a reboot.
_IS_OVER = "(until <= :now OR until > :never)"


class Register(Tables):
    """Places, the workers' leases on them, and the members that they make present."""

    def has_lease(self, worker: str, now: float) -> bool:
        """Tell whether the worker's lease still holds."""
        row = self._one("SELECT until FROM workers WHERE worker = ?", worker)
        return row is not None and holds(row[0], now)

    def renew(self, worker: str, until: float) -> None:
        """Take or renew the worker's lease."""
        self._db.execute("INSERT OR REPLACE INTO workers VALUES (?, ?)", (worker, until))

    def end(self, worker: str, until: float) -> None:
        """End the worker's lease. Each of its places gets an end of its own."""
        self._db.execute("DELETE FROM workers WHERE worker = ?", (worker,))
        self._db.execute(
            "UPDATE places SET until = :until WHERE worker = :worker AND (until IS NULL OR until > :until)",
            {"until": until, "worker": worker},
        )

    def add(self, worker: str, come: Sequence[Place], now_ms: int) -> list[Draft]:
        """Add or replace places; return the join and leave events."""
        if not come:
            return []
        places = {place.listener: place for place in come}
        coming = presences_of(places.values())
        joining = self._absent(coming)
        leaving = presences_of(self._remove(places))
        self._insert(worker, places.values())
        drafts = [leave_draft(*presence, leaving[presence].meta, now_ms) for presence in self._absent(leaving)]
        return drafts + [join_draft(*presence, coming[presence].meta, now_ms) for presence in joining]

    def shorten(self, worker: str, gone: Sequence[str], until: float) -> None:
        """Set the end of the places of gone listeners. A place that has an end already keeps it."""
        if gone:
            self._db.execute(
                "UPDATE places SET until = ? WHERE until IS NULL AND worker = ?"
                " AND listener IN (SELECT value FROM json_each(?))",
                (until, worker, json.dumps(gone)),
            )

    # Reading

    def place(self, listener: str, now: float) -> Place | None:
        """Return the place of a connected listener."""
        row = self._one(
            f"SELECT {_PLACE}, w.until FROM places p JOIN workers w USING (worker)"
            " WHERE p.listener = ? AND p.until IS NULL",
            listener,
        )
        return _place(row) if row is not None and holds(row[-1], now) else None

    def places(self, after: str, limit: int, channel: str, user: str, now: float) -> list[Place]:
        """Return places of a channel or user, in the order of ids."""
        if user:
            table, of = "places p", "p.user = :user AND p.user <> '' AND p"
            if channel:
                of = (
                    "EXISTS (SELECT 1 FROM listening l WHERE l.channel = :channel AND l.listener = p.listener) AND "
                    + of
                )
        elif channel:
            table, of = "listening l CROSS JOIN places p USING (listener)", "l.channel = :channel AND l"
        else:
            table, of = "places p", "p"
        rows = self._db.execute(
            f"SELECT {_PLACE} FROM {table} CROSS JOIN workers w USING (worker) WHERE {of}.listener > :after"
            f" AND p.until IS NULL AND w.until > :now AND w.until <= :never ORDER BY {of[-1]}.listener LIMIT :limit",
            {**_times(now), "after": after, "channel": channel, "user": user, "limit": limit},
        )
        return [_place(row) for row in rows.fetchall()]

    def members(self, channel: str, after: str, limit: int) -> list[Member]:
        """Return the members that are present, in the order of names."""
        # With min(), SQLite takes the other columns from the row with the minimum: the oldest place.
        rows = self._all(
            "SELECT l.member, p.meta, min(p.since_ms), count(*) FROM listening l CROSS JOIN places p USING (listener)"
            " WHERE l.channel = ? AND l.member > ? AND l.member <> '' GROUP BY l.member ORDER BY l.member LIMIT ?",
            channel,
            after,
            limit,
        )
        return [Member(*row) for row in rows]

    # The sweep

    def has_ended(self, now: float) -> bool:
        """Tell whether places have ended. Needs no transaction: most of the time there are none."""
        (found,) = self._db.execute(
            f"SELECT EXISTS (SELECT 1 FROM workers WHERE {_IS_OVER})"
            " OR EXISTS (SELECT 1 FROM places WHERE until <= :now) OR EXISTS (SELECT 1 FROM places WHERE until > :never)",
            _times(now),
        ).fetchone()
        return bool(found)

    def sweep(self, now: float, now_ms: int, rows: int) -> tuple[int, list[Draft]]:
        """Remove up to ``rows`` places that have ended, by their grace or by the lease of their worker. Return how many were
        found, where a place that has ended both ways counts twice, and the leave events."""
        times = {**_times(now), "rows": rows}
        over = self._db.execute(
            f"SELECT listener FROM (SELECT worker FROM workers WHERE {_IS_OVER}) CROSS JOIN places USING (worker)"
            " UNION ALL SELECT listener FROM places WHERE until <= :now"
            " UNION ALL SELECT listener FROM places WHERE until > :never LIMIT :rows",
            times,
        ).fetchall()
        removed = self._remove(dict.fromkeys(listener for (listener,) in over))
        self._db.execute(
            f"DELETE FROM workers WHERE {_IS_OVER} AND NOT EXISTS"
            " (SELECT 1 FROM places WHERE places.worker = workers.worker)",
            times,
        )
        leaving = presences_of(removed)
        drafts = [leave_draft(*presence, leaving[presence].meta, now_ms) for presence in self._absent(leaving)]
        return len(over), drafts

    # Rows

    def _absent(self, presences: Iterable[Presence]) -> list[Presence]:
        """Return the presences that have no place."""
        asked = list(presences)
        return self._all(_ABSENT, json.dumps(asked)) if asked else []

    def _insert(self, worker: str, places: Iterable[Place]) -> None:
        rows, listening = [], []
        for place in places:
            channels, present_on = json.dumps(place.channels), json.dumps(place.present_on)
            rows.append((*place[:3], channels, present_on, *place[5:9], worker))
            member_on = dict.fromkeys(place.channels, "") | dict(place.presences)
            listening += [(channel, place.listener, member) for channel, member in member_on.items()]
        self._db.execute(_INSERT, (json.dumps(rows),))
        self._db.execute(_INSERT_LISTENING, (json.dumps(listening),))

    def _remove(self, listeners: Iterable[str]) -> list[Place]:
        """Remove the places of these listeners; return the removed places."""
        ids = json.dumps(list(listeners))
        found = self._all(f"SELECT {_PLACE} FROM json_each(?) JOIN places p ON p.listener = value", ids)
        if not found:
            return []
        removed = [_place(row) for row in found]
        listening = [(channel, place.listener) for place in removed for channel in (*place.channels, *place.present_on)]
        self._db.execute(_DELETE_LISTENING, (json.dumps(listening),))
        self._db.execute("DELETE FROM places WHERE listener IN (SELECT value FROM json_each(?))", (ids,))
        return removed


def _times(now: float) -> dict[str, object]:
    """Return the parameters of `_IS_OVER`."""
    return {"now": now, "never": now + MAX_LEASE_SECONDS}


def _place(row: tuple) -> Place:  # type: ignore[type-arg]
    """Make a place from the columns of `_PLACE`."""
    return Place._make((*row[:3], tuple(json.loads(row[3])), tuple(json.loads(row[4])), *row[5:10]))
