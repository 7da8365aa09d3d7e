"""What is told in a room: on which channels, as which events. Pure.

A room is three channels:

- ``chatroom:<room>``: ``message``, what people said. Its history is the room's.
- ``chatroom:<room>:typing``: ``typing``. Apart, or of the last fifty events few would be messages.
- ``presence:chatroom:<room>``: who comes and goes, made by the extension, once for each person over all workers, also
  when a worker is killed. `told` renames it to ``user-join`` and ``user-leave``, so nothing is published twice.

What one may do in a room is granted on ``chat.<room>``, another name on purpose: who may publish to a channel may put
anything into it, in anybody's name. A grant on ``chat.*`` lets people speak through this feature, as themselves.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from ...channels import ROOM
from ...flask_simulcast import Event
from .texts import UNVERIFIED

MESSAGE = "message"
TYPING = "typing"
HISTORY = "history"
_PRESENCE = "presence:"
_COMES_AND_GOES = {"join": "user-join", "leave": "user-leave"}


class Person(NamedTuple):
    """Somebody in a room.

    Attributes:
        name: As everybody sees it.
        is_verified: A token says that this is their name; else they said so themselves.
    """

    name: str
    is_verified: bool

    @property
    def member(self) -> str:
        """As whom they are present: somebody who only says that he is Ann must not be taken for her."""
        return self.name if self.is_verified else UNVERIFIED + self.name

    @classmethod
    def of_member(cls, member: str) -> Person:
        """Whom `member` named."""
        return cls(member.removeprefix(UNVERIFIED), not member.startswith(UNVERIFIED))

    def as_dict(self) -> dict[str, Any]:
        """As events say it."""
        return {"user": self.name, "verified": self.is_verified}


def channel_of(room: str) -> str:
    """Where messages go."""
    return ROOM + room


def typing_channel_of(room: str) -> str:
    """Where it goes that somebody types."""
    return f"{ROOM}{room}:typing"


def channels_of(room: str) -> list[str]:
    """All that somebody in the room listens to."""
    return [channel_of(room), typing_channel_of(room), _PRESENCE + channel_of(room)]


def message(room: str, person: Person, text: str, now_ms: int) -> dict[str, Any]:
    """Data of a ``message``."""
    return {"room": room, **person.as_dict(), "message": text, "timestamp": now_ms}


def typing(room: str, person: Person, now_ms: int) -> dict[str, Any]:
    """Data of a ``typing``."""
    return {"room": room, **person.as_dict(), "time": now_ms}


def told(event: Event) -> Event | None:
    """The view of everybody in a room, one for all: comings and goings by the names of the chat; all else as it is."""
    channel = _PRESENCE + ROOM
    if not event.channel.startswith(channel):
        return event
    type = _COMES_AND_GOES.get(event.type)
    if type is None:
        return None
    fact = json.loads(event.data)
    data = {"room": event.channel.removeprefix(channel), **Person.of_member(fact["member"]).as_dict()}
    data["time"] = fact["time"]
    return Event(event.position, event.channel, type, json.dumps(data, separators=(",", ":")))
