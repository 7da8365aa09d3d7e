"""The actions in a room, for HTTP and WebSocket alike. The caller has already checked the person and the right."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec

from ...extensions import simulcast
from ...flask_simulcast import Event, IdempotencyKey
from ...identity.sender import current_sender
from . import events, limits, schemas, texts
from .events import Person
from .limits import Speaker

MAX_USERS = 1000
#: Limits of the first event of a person who joins: a slow client must take it as one chunk. Measured: 0.4 ms with fifty
#: messages, 1.8 ms with five hundred people as well.
ENTRANCE_MESSAGES = 50
ENTRANCE_BYTES = 256 << 10
ENTRANCE_USERS = 500


def say(room: str, person: Person, speaker: Speaker, text: str, *, key: str | None = None) -> Event:
    """Publish a message to everyone in the room. May switch.

    Args:
        room: Checked name of the room.
        person: Author of the message.
        speaker: The author's rate limits.
        text: 1 to 4000 characters.
        key: A second message of this person in this room with the same key within 300 s is not stored again. A different text
            with that key is refused.

    Raises:
        ApiError: 400 for an invalid text; 429 for too many messages.
        IdempotencyKeyError: The key is invalid.
        IdempotencyConflictError: The key was used for another text.
        BrokerUnavailableError, PublishUncertainError: As in `Simulcast.publish`.
    """
    text = texts.clean_text(text)
    # Without the time of the message, which differs at each try.
    own = None if key is None else IdempotencyKey(key, f"{current_sender()}\n{person.member}", text)
    limits.here().check_message(room, speaker)
    data = events.message(room, person, text, _now_ms())
    return simulcast.publish(events.channel_of(room), data, type=events.MESSAGE, idempotency_key=own)


def typing(room: str, person: Person, speaker: Speaker) -> bool:
    """Publish that a person is typing, at most once a second for each person and ten times for a room. May switch.

    Returns:
        Whether it was published.

    Raises:
        BrokerUnavailableError, PublishUncertainError: As in `Simulcast.publish`.
    """
    if not limits.here().takes_typing(room, speaker):
        return False
    data = events.typing(room, person, _now_ms())
    simulcast.publish(events.typing_channel_of(room), data, type=events.TYPING)
    return True


def users(room: str, *, after: str = "", limit: int = MAX_USERS) -> schemas.Users:
    """Return the people in the room, over all workers, each once.

    Args:
        room: Checked name of the room.
        after: The ``next`` of the previous page.
        limit: Maximum number of people.
    """
    found = simulcast.members(events.channel_of(room), after=after, limit=limit + 1)
    page = found[:limit]
    people = [(Person.of_member(one.member), one.since_ms) for one in page]
    return schemas.Users(
        room=room,
        users=[person.name for person, _ in people],
        count=len(people),
        members=[schemas.RoomMember(person.name, person.is_verified, since_ms) for person, since_ms in people],
        next=page[-1].member if len(found) > limit else None,
    )


def entrance(room: str) -> dict[str, Any]:
    """Return the first event of a person who joins: the last messages, and the people in the room.

    Call it after the start position of the stream is taken. Then the stream has all messages, joins and leaves from then on.
    """
    return {"messages": _last_messages(room), **msgspec.to_builtins(users(room, limit=ENTRANCE_USERS))}


def _last_messages(room: str) -> list[dict[str, Any]]:
    """Return the last messages, the oldest first; fewer if they are long."""
    history = simulcast.history(events.channel_of(room), limit=ENTRANCE_MESSAGES)
    messages: list[dict[str, Any]] = []
    left = ENTRANCE_BYTES
    for event in reversed(history.events):
        left -= len(event.data.encode())
        if left < 0:
            break
        data = json.loads(event.data)
        # A backend may publish anything to the channel.
        if event.type == events.MESSAGE and isinstance(data, dict):
            own = {"id": str(event.position)}
            messages.append(own | data | own)  # again behind, so that no field replaces the id
    return messages[::-1]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
