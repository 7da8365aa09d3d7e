"""What goes over the wire: these types check what comes in, write what goes out, and make the OpenAPI document.

What a string may be is checked by the extension, whose message says what to do; the patterns here tell it to others.
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
        "`presence:` or `simulcast:`: for these there are other routes, or they are read-only.",
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
        description="A second event for the same channel with the same key within 300 s is the same event.",
        extra_json_schema={"minLength": 1, "maxLength": 128},
    ),
]
User = Annotated[
    str,
    Meta(
        description="Any text of one line; a slash may stand in it as it is.",
        extra_json_schema={"minLength": 1, "maxLength": 128, "pattern": _ONE_LINE},
    ),
]
ListenerId = Annotated[str, Meta(description="As `connected` told it; a client that reconnects has another one.")]
Position = Annotated[
    str,
    Meta(
        description="A point in the log. Treat it as text.",
        examples=["1763690000123-4-9f3a2c1b"],
        extra_json_schema={"pattern": "^[0-9]{1,13}-[0-9]{1,7}-[0-9a-f]{8}$"},
    ),
]
TimeMs = Annotated[int, Meta(description="Unix time in ms.")]
Data = Annotated[Any, Meta(description="Any JSON.")]
Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="How many at most.")]


# Requests


class Draft(Struct, forbid_unknown_fields=True):
    """An event for the listeners that the route names."""

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
        """All channels that it names."""
        if self.channels is not UNSET:
            return self.channels
        return [] if self.channel is UNSET else [self.channel]


_EITHER = {"oneOf": [{"required": ["channel"]}, {"required": ["channels"]}]}
Events = Annotated[
    Event | list[Event],
    Meta(
        extra_json_schema={"allOf": [{"anyOf": [{"type": "object", **_EITHER}, {"type": "array", "items": _EITHER}]}]}
    ),
]


class TicketRequest(Struct, forbid_unknown_fields=True):
    """For how long a ticket shall hold."""

    seconds: Annotated[int, Meta(ge=1, le=MAX_TICKET_SECONDS)] = MAX_TICKET_SECONDS


class StreamQuery(Struct):
    """What to listen to. The channels are counted and checked by the extension."""

    channel: Annotated[list[Channel], Meta(description="One or several. `all` is what goes to everyone.")] = []
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
        str,
        Meta(
            description="Position to resume from, for a client that can't send `Last-Event-ID`. The header takes precedence."
        ),
    ] = ""

    @property
    def names(self) -> list[str]:
        """What a WebSocket itself listens to."""
        return self.channel or ["all"]


class HistoryQuery(Struct):
    """Which page."""

    after: Annotated[str, Meta(description="The `position` of the page before; left out, the newest events.")] = ""
    limit: Limit = 100


class MembersQuery(Struct):
    """Which page."""

    after: Annotated[str, Meta(description="The `next` of the page before.")] = ""
    limit: Limit = 100


class ListenersQuery(Struct):
    """Which page, of which listeners."""

    after: Annotated[str, Meta(description="The `next` of the page before.")] = ""
    limit: Limit = 100
    channel: Annotated[str, Meta(description="Only those of this channel.")] = ""
    user: Annotated[str, Meta(description="Only those of this user.")] = ""


class KickQuery(Struct):
    """How to close it."""

    reconnect: Annotated[bool, Meta(description="Whether it may come back. If not, its token is revoked.")] = True


# Answers


class Published(Struct):
    """Where an event stands in the log: what a stream has as its id."""

    position: Position


class PublishedMany(Struct):
    """Where the events stand in the log, in the order in which they were sent; of one for several channels, one for each."""

    positions: list[Position]


class HistoryEvent(Struct):
    """An event as it was stored."""

    id: Position
    channel: Channel
    type: str
    time: TimeMs
    data: Raw


class Gap(Struct, rename={"from_": "from"}):
    """That something is missing before these events."""

    reason: Annotated[str, Meta(extra_json_schema={"enum": ["trimmed", "lost", "forked", "invalid"]})]
    channels: list[Channel]
    from_: str
    to: Position


class HistoryPage(Struct):
    """A page of what a channel has kept, the oldest first."""

    events: list[HistoryEvent]
    gap: Gap | None
    position: Annotated[Position, Meta(description="Where the next page, or a stream, goes on.")]
    has_more: Annotated[bool, Meta(description="Whether there is more after that.")]


class Member(Struct):
    """A member that is present on a channel."""

    member: str
    meta: Annotated[Raw, Meta(description="An object: what their grant, or the route, tells of them.")]
    since: TimeMs
    listeners: Annotated[int, Meta(description="How many connections are theirs.")]


class MembersPage(Struct):
    """Who is present on a channel, over all workers, in the order of names."""

    channel: Channel
    members: list[Member]
    count: Annotated[int, Meta(description="Members in this page.")]
    next: Annotated[str | None, Meta(description="`after` of the next page; null at the end.")]


class Listener(Struct):
    """One connection."""

    id: ListenerId
    user: Annotated[str, Meta(description="Empty for one without a name.")]
    member: Annotated[str, Meta(description="The name under which it is present; empty if it has none.")]
    channels: list[Channel]
    meta: Annotated[Raw, Meta(description="An object: what its grant, or the route, tells of it.")]
    encoding: Annotated[str, Meta(examples=["sse", "ndjson"])]
    since: TimeMs


class ListenersPage(Struct):
    """Who is connected, over all workers, in the order of ids."""

    listeners: list[Listener]
    next: Annotated[str | None, Meta(description="`after` of the next page; null at the end.")]


class Ticket(Struct):
    """Lets in once, as `?ticket=…`."""

    ticket: str
    expires_in: Annotated[int, Meta(description="Seconds.")]
