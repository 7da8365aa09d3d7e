"""Requests and answers of the hub. These types check requests, write answers, and make the OpenAPI document.

The extension checks the values of strings, since its messages say what to do. The patterns here only document them.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

# What EventSource can carry in an `event:` line, and what fits into one line of a log.
_ONE_LINE = "^[^\\r\\n\\u0000]*$"

MAX_REPLAY = 1000
MAX_LIMIT = 1000
MAX_TICKET_SECONDS = 60

Channel = Annotated[
    str,
    Meta(
        description="1-128 characters of `A-Z a-z 0-9 . _ : -`. Case matters.",
        extra_json_schema={"pattern": "^(presence:)?[A-Za-z0-9._:-]{1,128}$"},
    ),
]
PublishedTo = Annotated[
    str,
    Meta(
        description="1-128 characters of `A-Z a-z 0-9 . _ : -`. Not `all`, and no name that begins with `user:`, `listener:`, "
        "`presence:`, `run:` or `simulcast:`: these have other routes, or only the service publishes to them.",
        extra_json_schema={"pattern": "^[A-Za-z0-9._:-]{1,128}$"},
    ),
]
Type = Annotated[
    str,
    Meta(
        description="Event name for `addEventListener`. Not `connected`, `gap`, `heartbeat` or `closed`.",
        extra_json_schema={"minLength": 1, "maxLength": 128, "pattern": _ONE_LINE},
    ),
]
Key = Annotated[
    str,
    Meta(
        description="A second event for the same channel with the same key within 300 s is not stored again.",
        extra_json_schema={"minLength": 1, "maxLength": 128},
    ),
]
User = Annotated[
    str,
    Meta(
        description="Any text of one line. A slash in it does not need an escape.",
        extra_json_schema={"minLength": 1, "maxLength": 128, "pattern": _ONE_LINE},
    ),
]
ListenerId = Annotated[str, Meta(description="The id in `connected`. A client that reconnects gets another one.")]
Position = Annotated[
    str,
    Meta(
        description="A point in the log. Treat it as opaque text.",
        examples=["1763690000123-4-9f3a2c1b"],
        extra_json_schema={"pattern": "^[0-9]{1,13}-[0-9]{1,7}-[0-9a-f]{8}$"},
    ),
]
TimeMs = Annotated[int, Meta(description="Unix time in ms.")]
Data = Annotated[Any, Meta(description="Any JSON.")]
IsRaw = Annotated[bool, Meta(description="True if `data` is text that browsers get as it is, HTML for example.")]
Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="Maximum number of items.")]


# Requests


class Draft(Struct, forbid_unknown_fields=True):
    """An event for the receivers that the route names."""

    data: Data
    type: Type = "message"
    idempotency_key: Key | UnsetType = UNSET


class Event(Struct, forbid_unknown_fields=True):
    """An event for one channel, or one for each of several: either `channel` or `channels`."""

    data: Data
    channel: PublishedTo | UnsetType = UNSET
    channels: Annotated[list[PublishedTo], Meta(extra_json_schema={"minItems": 1, "maxItems": 1000})] | UnsetType = (
        UNSET
    )
    type: Type = "message"
    idempotency_key: Key | UnsetType = UNSET

    @property
    def names(self) -> list[str]:
        """All channels that the event names."""
        if self.channels is not UNSET:
            return self.channels
        return [] if self.channel is UNSET else [self.channel]


_EITHER = {"oneOf": [{"required": ["channel"]}, {"required": ["channels"]}]}
Events = Annotated[
    Event | list[Event],
    Meta(
        examples=[{"channel": "news", "data": {"text": "hello"}}],
        extra_json_schema={"allOf": [{"anyOf": [{"type": "object", **_EITHER}, {"type": "array", "items": _EITHER}]}]},
    ),
]
DraftBody = Annotated[Draft, Meta(examples=[{"data": {"text": "hello"}}])]


class TicketRequest(Struct, forbid_unknown_fields=True):
    """The lifetime of a ticket."""

    seconds: Annotated[int, Meta(ge=1, le=MAX_TICKET_SECONDS)] = MAX_TICKET_SECONDS


class StreamQuery(Struct):
    """The channels to listen to. The extension counts and checks them."""

    channel: Annotated[list[Channel], Meta(description="One or several. `all` has the events for everyone.")] = []
    replay: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=MAX_REPLAY,
                description="Number of recent events to send first. Defaults to each channel's own setting.",
            ),
        ]
        | UnsetType
    ) = UNSET
    last_event_id: Annotated[
        str, Meta(description="Position to resume from, for a client that can't send `Last-Event-ID`. The header wins.")
    ] = ""

    @property
    def names(self) -> list[str]:
        """The channels that a WebSocket itself listens to."""
        return self.channel or ["all"]


class HistoryQuery(Struct):
    """A page of history."""

    after: Annotated[str, Meta(description="The `position` of the previous page. Without it, the newest events.")] = ""
    limit: Limit = 100


class MembersQuery(Struct):
    """A page of members."""

    after: Annotated[str, Meta(description="The `next` of the previous page.")] = ""
    limit: Limit = 100


class ListenersQuery(Struct):
    """A page of listeners, and a filter."""

    after: Annotated[str, Meta(description="The `next` of the previous page.")] = ""
    limit: Limit = 100
    channel: Annotated[str, Meta(description="Only listeners of this channel.")] = ""
    user: Annotated[str, Meta(description="Only listeners of this user.")] = ""


class KickQuery(Struct):
    """How to close the connection."""

    reconnect: Annotated[bool, Meta(description="Whether it may reconnect. If not, its token is revoked.")] = True


# Answers


class Published(Struct):
    """The position of an event in the log, which a stream has as its id."""

    position: Position


class PublishedMany(Struct):
    """The positions of the events in the log, in the order of the request. An event for several channels has several."""

    positions: list[Position]


class HistoryEvent(Struct):
    """An event as it was stored."""

    id: Position
    channel: Channel
    type: str
    time: TimeMs
    data: Raw
    raw: IsRaw | UnsetType = UNSET


class GapData(Struct, rename={"from_": "from"}):
    """Events are missing before these."""

    reason: Annotated[str, Meta(extra_json_schema={"enum": ["trimmed", "lost", "forked", "invalid"]})]
    channels: list[Channel]
    from_: str
    to: Position


class HistoryPage(Struct):
    """A page of a channel's history, the oldest event first."""

    events: list[HistoryEvent]
    gap: GapData | None
    position: Annotated[Position, Meta(description="Position from which the next page, or a stream, continues.")]
    has_more: Annotated[bool, Meta(description="Whether there are events after that position.")]


class Member(Struct):
    """A member that is present on a channel."""

    member: str
    meta: Annotated[Raw, Meta(description="An object from the member's grant, or from the route.")]
    since: TimeMs
    listeners: Annotated[int, Meta(description="Number of the member's connections.")]


class MembersPage(Struct):
    """The members of a channel, over all workers, in the order of names."""

    channel: Channel
    members: list[Member]
    count: Annotated[int, Meta(description="Members in this page.")]
    next: Annotated[str | None, Meta(description="`after` of the next page; null at the end.")]


class Listener(Struct):
    """One connection."""

    id: ListenerId
    user: Annotated[str, Meta(description="Name of its user; empty for none.")]
    member: Annotated[str, Meta(description="Name under which it is present; empty if it is not.")]
    channels: list[Channel]
    meta: Annotated[Raw, Meta(description="An object from its grant, or from the route.")]
    encoding: Annotated[str, Meta(examples=["sse", "ndjson"])]
    since: TimeMs


class ListenersPage(Struct):
    """The connections of all workers, in the order of ids."""

    listeners: list[Listener]
    next: Annotated[str | None, Meta(description="`after` of the next page; null at the end.")]


class Ticket(Struct):
    """A ticket, which lets in once, as `?ticket=…`."""

    ticket: str
    expires_in: Annotated[int, Meta(description="Seconds for which it is valid.")]
