"""Presence: who listens on a channel, over all workers.

Each listener has a **place** in a register that the workers share. A worker holds one lease for all its places; when it
is killed or frozen, the lease ends, and the sweep of another worker lets its places go. A connection that ends only
shortens its place to a short grace, so that a page that reloads has not left.

A **member** is whoever the places of a channel belong to: a user with three tabs is one member. ``join`` and ``leave``
are events on ``presence:<channel>``, stored in the same transaction as the place that was the member's first or last.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from .event import PRESENCE_PREFIX, Draft

JOIN = "join"
LEAVE = "leave"

Presence = tuple[str, str]
"""A channel, and a member who is present on it."""


class Place(NamedTuple):
    """One listener in the register.

    Attributes:
        listener: Its id.
        user: Whose it is; empty for one without a name.
        member: As whom it is present; empty for nobody.
        channels: What it listens to.
        present_on: Those of its channels on which it is present as ``member``.
        meta: JSON text, told to others.
        token_id: Of the token it came with; empty for none.
        encoding: In which it listens.
        since_ms: Unix time in ms at which it came.
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

    @property
    def presences(self) -> list[Presence]:
        """What it makes its member: present on so many channels."""
        return [(channel, self.member) for channel in self.present_on] if self.member else []


class Member(NamedTuple):
    """Somebody who is present on a channel.

    Attributes:
        member: The name.
        meta: JSON text, of the place that came first.
        since_ms: Unix time in ms at which that came.
        listeners: How many places are theirs.
    """

    member: str
    meta: str
    since_ms: int
    listeners: int


def presences_of(places: Iterable[Place]) -> dict[Presence, Place]:
    """Who is present through these places, each with the one that came first."""
    presences: dict[Presence, Place] = {}
    for place in sorted(places, key=lambda place: place.since_ms):
        for presence in place.presences:
            presences.setdefault(presence, place)
    return presences


def join_draft(channel: str, member: str, meta: str, time_ms: int) -> Draft:
    """That somebody came: ``{"member", "meta", "time"}``."""
    return _draft(JOIN, channel, member, meta, time_ms)


def leave_draft(channel: str, member: str, meta: str, time_ms: int) -> Draft:
    """That the last place of somebody is gone."""
    return _draft(LEAVE, channel, member, meta, time_ms)


def _draft(type: str, channel: str, member: str, meta: str, time_ms: int) -> Draft:
    data = f'{{"member":{json.dumps(member)},"meta":{meta},"time":{time_ms}}}'
    return Draft(PRESENCE_PREFIX + channel, type, data)
