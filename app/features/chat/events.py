"""The events of a room: their channels, types and data. Pure.

A room is three channels:

- ``chatroom:<room>``: ``message``. Its history is the room's.
- ``chatroom:<room>:typing``: ``typing``. A separate channel, or few of the last fifty events would be messages.
- ``presence:chatroom:<room>``: joins and leaves. The extension makes them, once for each person over all workers, also
  when a worker is killed. `told` renames them to ``user-join`` and ``user-leave``, so nothing is published twice.

The rights in a room are granted on ``chat.<room>``, a different name on purpose: a client that may publish to a channel
can publish anything there, under any name. A grant on ``chat.*`` lets people speak through this feature, as themselves.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from ...channels import ROOM, poses_as
from ...flask_simulcast import Event
from ...web import conversation
from .texts import UNVERIFIED

MESSAGE = "message"
TYPING = "typing"
HISTORY = "history"
_PRESENCE = "presence:"
_COMES_AND_GOES = {"join": "user-join", "leave": "user-leave"}
# What an event that is not of the room must not be taken for. "message" is what events are called that have no type.
_OWN = frozenset({MESSAGE, TYPING, HISTORY, *_COMES_AND_GOES.values()}) | conversation.MESSAGES


class Person(NamedTuple):
    """A person in a room.

    Attributes:
        name: Name that all others see.
        is_verified: Whether the name is from a token; else the person chose it.
    """

    name: str
    is_verified: bool

    @property
    def member(self) -> str:
        """Name under which the person is present. An unverified Ann must not be taken for a verified one."""
        return self.name if self.is_verified else UNVERIFIED + self.name

    @classmethod
    def of_member(cls, member: str) -> Person:
        """Return the person with this `member`."""
        return cls(member.removeprefix(UNVERIFIED), not member.startswith(UNVERIFIED))

    def as_dict(self) -> dict[str, Any]:
        """Return the fields of the person in events."""
        return {"user": self.name, "verified": self.is_verified}


def channel_of(room: str) -> str:
    """Return the channel of a room's messages."""
    return ROOM + room


def typing_channel_of(room: str) -> str:
    """Return the channel of a room's typing hints."""
    return f"{ROOM}{room}:typing"


def channels_of(room: str) -> list[str]:
    """Return the channels that a person in the room listens to."""
    return [channel_of(room), typing_channel_of(room), _PRESENCE + channel_of(room)]


def message(room: str, person: Person, text: str, now_ms: int) -> dict[str, Any]:
    """Return the data of a ``message``."""
    return {"room": room, **person.as_dict(), "message": text, "timestamp": now_ms}


def typing(room: str, person: Person, now_ms: int) -> dict[str, Any]:
    """Return the data of a ``typing``."""
    return {"room": room, **person.as_dict(), "time": now_ms}


def told(event: Event) -> Event | None:
    """Rename joins and leaves to the chat's names, and drop broadcasts and events for a user that have such a name; leave other
    events as they are. One view for all listeners of all rooms."""
    channel = _PRESENCE + ROOM
    if not event.channel.startswith(channel):
        return None if poses_as(event, _OWN) else event
    type = _COMES_AND_GOES.get(event.type)
    if type is None:
        return None
    fact = json.loads(event.data)
    data = {"room": event.channel.removeprefix(channel), **Person.of_member(fact["member"]).as_dict()}
    data["time"] = fact["time"]
    return Event(event.position, event.channel, type, json.dumps(data, separators=(",", ":")))
