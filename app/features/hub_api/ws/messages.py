"""What the server sends: JSON objects, whose ``type`` says what they are.

``event`` and ``gap`` are written by the extension, once for all that get them; they stand here for the schema.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Raw, Struct

from ....web.conversation import Error, Message, Reply
from ....web.farewell import Closing
from ..schemas import Channel, HistoryPage, ListenerId, MembersPage, Position, Published, TimeMs
from ..schemas import Gap as GapFields

# Results


class Subscribed(Struct):
    """To `subscribe`. The events follow it, a `gap` before them if there is one."""

    subscription: Annotated[ListenerId, Meta(description="It is a listener of its own.")]
    channels: list[Channel]
    position: Annotated[Position, Meta(description="Its events come after this.")]


class Left(Struct):
    """Channels that were left at one place."""

    channels: list[Channel]
    position: Annotated[Position, Meta(description="Where they can be taken up again without a hole.")]


class Unsubscribed(Struct):
    """To `unsubscribe`."""

    left: list[Left]


class Standing(Struct):
    """How far a subscription is."""

    subscription: ListenerId
    channels: list[Channel]
    position: Annotated[Position, Meta(description="Everything up to this was sent before this reply.")]


class Pong(Struct):
    """To `ping`."""

    time: TimeMs
    subscriptions: Annotated[list[Standing], Meta(description="The connection itself first.")]


# Messages


class Connected(Message, tag="connected"):
    """First of all. The connection is a listener itself: of what goes to everyone, to this user, or to it alone, and of the
    channels of the URL."""

    connection: ListenerId
    user: Annotated[str, Meta(description="Empty for one without a name.")]
    channels: list[Channel]
    position: Annotated[Position, Meta(description="Its events come after this.")]


class Event(Message, tag="event"):
    """Something was published."""

    channel: Channel
    event: Annotated[str, Meta(description="The type with which it was published.")]
    id: Annotated[Position, Meta(description="Where to go on after it.")]
    time: TimeMs
    data: Raw


class Gap(GapFields, Message, tag="gap"):
    """Something before the next event is missing."""


#: Of the commands: each has its own.
RESULTS = (Subscribed, Unsubscribed, Published, HistoryPage, MembersPage, Pong)
AnyMessage = Connected | Event | Gap | Reply | Error | Closing
