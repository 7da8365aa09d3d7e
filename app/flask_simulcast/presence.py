"""Presence: the members of a channel, over all workers.

Each listener has a **place** in a register that the workers share. A worker holds one lease for all its places. When the
worker is killed or frozen, the lease ends, and the sweep of another worker removes its places. When a connection ends, its
place is only shortened to a brief grace time, so a page that reloads does not count as having left.

A **member** owns one or more places of a channel: a user with three tabs is one member. ``join`` and ``leave`` are events
on ``presence:<channel>``, stored in the same transaction that adds the member's first place or removes its last one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from .event import PRESENCE_PREFIX, Draft

JOIN = "join"
LEAVE = "leave"

Presence = tuple[str, str]
"""A channel, and a member that is present on it."""


class Place(NamedTuple):
    """One listener in the register.

    Attributes:
        listener: Id of the listener.
        user: Its user; empty for none.
        member: Name under which it is present; empty if it is not.
        channels: Channels that it listens to.
        present_on: Those of its channels on which it is present as ``member``.
        meta: JSON text that others see.
        token_id: Id of the token that it came with; empty for none.
        encoding: Name of its encoding.
        since_ms: Unix time in ms at which it connected.
        worker: Id of its worker, ``host:pid:`` and a random part; empty until the worker has reported it.
    """

    listener: str
    user: str
    member: str
    channels: tuple[str, ...]
    present_on: tuple[str, ...]
    meta: str
    token_id: str
    encoding: str
    since_ms: int
    worker: str = ""

    @property
    def presences(self) -> list[Presence]:
        """One ``(channel, member)`` pair for each channel on which it is present."""
        return [(channel, self.member) for channel in self.present_on] if self.member else []


class Member(NamedTuple):
    """A member that is present on a channel.

    Attributes:
        member: Its name.
        meta: JSON text of its earliest place.
        since_ms: Unix time in ms at which its earliest place began.
        listeners: Number of its places.
    """

    member: str
    meta: str
    since_ms: int
    listeners: int


def presences_of(places: Iterable[Place]) -> dict[Presence, Place]:
    """Map each presence of these places to the earliest of its places."""
    presences: dict[Presence, Place] = {}
    for place in sorted(places, key=lambda place: place.since_ms):
        for presence in place.presences:
            presences.setdefault(presence, place)
    return presences


def join_draft(channel: str, member: str, meta: str, time_ms: int) -> Draft:
    """Make the event that a member has joined: ``{"member", "meta", "time"}``."""
    return _draft(JOIN, channel, member, meta, time_ms)


def leave_draft(channel: str, member: str, meta: str, time_ms: int) -> Draft:
    """Make the event that a member has left: its last place is gone."""
    return _draft(LEAVE, channel, member, meta, time_ms)


def _draft(type: str, channel: str, member: str, meta: str, time_ms: int) -> Draft:
    data = f'{{"member":{json.dumps(member)},"meta":{meta},"time":{time_ms}}}'
    return Draft(PRESENCE_PREFIX + channel, type, data)
