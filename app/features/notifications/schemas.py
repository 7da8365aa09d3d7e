"""Requests and answers about notifications, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

_MAX_MESSAGE_CHARACTERS = 1000
_MAX_LIMIT = 100
_MAX_ID = 2**53

Position = Annotated[
    str,
    Meta(
        description="The id of a notification: its position in the log, which a stream has as the id of its event.",
        extra_json_schema={"pattern": "^[0-9]{1,13}-[0-9]{1,7}-[0-9a-f]{8}$"},
    ),
]
Type = Literal["info", "success", "warning", "error"]
Message = Annotated[
    str,
    Meta(min_length=1, max_length=_MAX_MESSAGE_CHARACTERS, description="Text. Pages show it as text, never as HTML."),
]


class Notice(Struct, forbid_unknown_fields=True):
    """A message to everyone."""

    type: Type
    message: Message

    def __post_init__(self) -> None:
        _check("message", self.message, "\0")


class Notify(Struct, forbid_unknown_fields=True):
    """A message to one user."""

    user_id: Annotated[str, Meta(min_length=1, max_length=128, description="The user of a token, its `sub`.")]
    type: Type
    message: Message

    def __post_init__(self) -> None:
        _check("user_id", self.user_id, "\0\r\n")
        _check("message", self.message, "\0")


class UnreadQuery(Struct):
    """A page of unread notifications."""

    before: Annotated[
        int, Meta(ge=0, le=_MAX_ID, description="The `next` of the previous page; 0 for the newest notifications.")
    ] = 0
    limit: Annotated[int, Meta(ge=1, le=_MAX_LIMIT, description="Maximum number of notifications.")] = 50


class SentNotification(Struct):
    """The position of the event in the log. It is the id of the notification."""

    position: Position


class Notification(Struct):
    """A notification that is not read yet."""

    position: Position
    type: Type
    message: str
    time: Annotated[int, Meta(description="Unix time in ms at which it was sent.")]


class Unread(Struct):
    """Notifications that their user has not read on any device, the newest first."""

    count: Annotated[int, Meta(description="Number of all that are unread.")]
    notifications: list[Notification]
    next: Annotated[int | None, Meta(description="`before` of the next page; null at the end.")]


def _check(field: str, text: str, forbidden: str) -> None:
    """Refuse what neither a database nor a log can hold: NUL, half a surrogate pair, and in a name a line break."""
    if any(one in forbidden or "\ud800" <= one <= "\udfff" for one in text):
        raise ValueError(f"Object contains {field} with a character that it can't have: NUL, or half a surrogate pair")
