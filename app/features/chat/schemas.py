"""Requests and answers of the chat. The same types check and document them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from .texts import MAX_NAME_CHARACTERS, MAX_TEXT_CHARACTERS, NAME_PATTERN, TEXT_PATTERN

Room = Annotated[
    str,
    Meta(
        description="1-64 characters of `A-Z a-z 0-9 . _ -`. Case matters.",
        extra_json_schema={"pattern": "^[A-Za-z0-9._-]{1,64}$"},
    ),
]
User = Annotated[
    str,
    Meta(
        description="Name of visible characters. With a token of a user, leave it out or give that user; else it is needed.",
        extra_json_schema={"maxLength": MAX_NAME_CHARACTERS, "pattern": NAME_PATTERN},
    ),
]
Key = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        description="A second message of the same user with the same key within 300 s is not stored again. A different message with that "
        "key gets 409.",
    ),
]
Position = Annotated[str, Meta(description="A point in the log, also the id in a stream. Treat it as opaque text.")]
TimeMs = Annotated[int, Meta(description="Unix time in ms.")]
Verified = Annotated[bool, Meta(description="Whether the name is from a token; else the person chose it.")]


class StreamQuery(Struct):
    """The person who joins."""

    user: User = ""
    last_event_id: Annotated[
        str, Meta(description="Position to resume from, for a client that can't send `Last-Event-ID`. The header wins.")
    ] = ""


class UsersQuery(Struct):
    """A page of the people."""

    after: Annotated[str, Meta(description="The `next` of the previous page.")] = ""
    limit: Annotated[int, Meta(ge=1, le=1000, description="Maximum number of people.")] = 1000


class Message(Struct, forbid_unknown_fields=True):
    """A message to publish."""

    message: Annotated[
        str,
        Meta(
            description="Text without control characters, except tabs and line ends.",
            extra_json_schema={"minLength": 1, "maxLength": MAX_TEXT_CHARACTERS, "pattern": TEXT_PATTERN},
        ),
    ]
    user: User = ""


class Typing(Struct, forbid_unknown_fields=True):
    """The person who types."""

    user: User = ""


class SentMessage(Struct):
    """The position of the message in the log."""

    position: Position


class RoomMember(Struct):
    """A person in the room."""

    user: str
    verified: Verified
    since: TimeMs


class Users(Struct):
    """The people in a room, over all workers, in the order of names."""

    room: Room
    users: Annotated[list[str], Meta(description="Their names.")]
    count: Annotated[int, Meta(description="Number of people on this page.")]
    members: Annotated[list[RoomMember], Meta(description="The same people with details, in the same order.")]
    next: Annotated[str | None, Meta(description="`after` of the next page; null at the end.")]
