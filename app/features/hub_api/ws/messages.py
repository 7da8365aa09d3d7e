"""The messages of the server: JSON objects with a ``type``.

The extension writes ``event`` and ``gap``, once for all connections that get them. They are here for the schema.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from ....web.conversation import Error, Message, Reply
from ....web.farewell import Closing
from ..schemas import Channel, GapData, HistoryPage, IsRaw, ListenerId, MembersPage, Position, Published, TimeMs

# Results


class Subscribed(Struct):
    """The result of `subscribe`. The events follow it, after a `gap` if there is one."""

    subscription: Annotated[ListenerId, Meta(description="Its id as a separate listener.")]
    channels: list[Channel]
    position: Annotated[Position, Meta(description="The position before its first event.")]


class Left(Struct):
    """Channels that were left at one position."""

    channels: list[Channel]
    position: Annotated[Position, Meta(description="Position from which they can be resumed without a gap.")]


class Unsubscribed(Struct):
    """The result of `unsubscribe`."""

    left: list[Left]


class Standing(Struct):
    """The position of a subscription."""

    subscription: ListenerId
    channels: list[Channel]
    position: Annotated[Position, Meta(description="All events up to this position were sent before this reply.")]


class Pong(Struct):
    """The result of `ping`."""

    time: TimeMs
    subscriptions: Annotated[list[Standing], Meta(description="The connection itself first.")]


# Messages


class Connected(Message, tag="connected"):
    """The first message. The connection is a listener itself: it gets the events for everyone, for its user and for it alone,
    and those of the channels in the URL."""

    connection: ListenerId
    user: Annotated[str, Meta(description="Name of its user; empty for none.")]
    channels: list[Channel]
    position: Annotated[Position, Meta(description="The position before its first event.")]


class Event(Message, tag="event"):
    """An event of a channel."""

    channel: Channel
    event: Annotated[str, Meta(description="The type of the published event.")]
    id: Annotated[Position, Meta(description="Position from which to resume after it.")]
    time: TimeMs
    data: Raw
    raw: IsRaw | UnsetType = UNSET


class Gap(GapData, Message, tag="gap"):
    """Events are missing before the next one."""


#: Results of the commands: each has its own.
RESULTS = (Subscribed, Unsubscribed, Published, HistoryPage, MembersPage, Pong)
AnyMessage = Connected | Event | Gap | Reply | Error | Closing
