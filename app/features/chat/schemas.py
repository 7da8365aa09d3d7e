"""What goes over the wire of the chat, checked and documented by the same types."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from .texts import MAX_NAME_CHARACTERS, MAX_TEXT_CHARACTERS

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
        description="Who it is: characters that can be seen. Left out, or the token's own, for who has a token of a user.",
        extra_json_schema={"maxLength": MAX_NAME_CHARACTERS},
    ),
]
Position = Annotated[str, Meta(description="A point in the log: what a stream has as its id. Treat it as text.")]
TimeMs = Annotated[int, Meta(description="Unix time in ms.")]
Verified = Annotated[
    bool, Meta(description="Whether a token says that this is their name; else they said so themselves.")
]


class StreamQuery(Struct):
    """Who comes in."""

    user: User = ""
    last_event_id: Annotated[
        str, Meta(description="Where to go on, for who can't send `Last-Event-ID`; the header goes before it.")
    ] = ""


class UsersQuery(Struct):
    """Which page."""

    after: Annotated[str, Meta(description="The `next` of the page before.")] = ""
    limit: Annotated[int, Meta(ge=1, le=1000, description="How many at most.")] = 1000


class Message(Struct, forbid_unknown_fields=True):
    """Something to say."""

    message: Annotated[
        str,
        Meta(
            description="No control characters but tabs and line ends.",
            extra_json_schema={"minLength": 1, "maxLength": MAX_TEXT_CHARACTERS},
        ),
    ]
    user: User = ""


class Typing(Struct, forbid_unknown_fields=True):
    """Who types."""

    user: User = ""


class Sent(Struct):
    """Where the message stands in the log."""

    position: Position


class Member(Struct):
    """Somebody who is there."""

    user: str
    verified: Verified
    since: TimeMs


class Users(Struct):
    """Who is in a room, over all workers, in the order of names."""

    room: Room
    users: Annotated[list[str], Meta(description="Their names.")]
    count: Annotated[int, Meta(description="How many they are; of this page, where there is a next one.")]
    members: Annotated[list[Member], Meta(description="The same, in the same order.")]
    next: Annotated[str | None, Meta(description="`after` of the next page; null at the end.")]
