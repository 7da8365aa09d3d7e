"""What a client may send: a JSON object, whose ``type`` says which command it is, with an ``id`` that the reply carries.

What a string may be is checked by the extension; the patterns here tell it to others, as those of HTTP do.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from ....web.conversation import Command, Commands
from ....web.errors import ApiError
from ..schemas import MAX_REPLAY, Channel, Data, Key, Limit, PublishedTo, Type

_EITHER = {"oneOf": [{"required": ["channel"]}, {"required": ["channels"]}]}

Channels = Annotated[list[Channel], Meta(min_length=1)]
Replay = Annotated[
    int,
    Meta(ge=0, le=MAX_REPLAY, description="Number of recent events to send first, without a `position`."),
]


class OfChannels(Command):
    """Either `channel` or `channels`."""

    channel: Channel | UnsetType = UNSET
    channels: Channels | UnsetType = UNSET

    @property
    def names(self) -> list[str]:
        """All channels that it names.

        Raises:
            ApiError: 400. Both ways, or none.
        """
        if (self.channel is UNSET) == (self.channels is UNSET):
            raise ApiError(400, "invalid_command", "Name either channel or channels. Send one of the two.")
        return self.channels if self.channels is not UNSET else [self.channel]  # type: ignore[list-item]


class Subscribe(OfChannels, tag="subscribe"):
    """Listen to channels: one place for all of them, with one position."""

    position: (
        Annotated[str, Meta(description="Go on after this: the id of the last event that you have.")] | UnsetType
    ) = UNSET
    replay: Replay | UnsetType = UNSET


class Unsubscribe(OfChannels, tag="unsubscribe"):
    """Stop listening to these."""


class Publish(Command, tag="publish"):
    """Publish one event."""

    channel: PublishedTo
    data: Data
    event: Type = "message"
    idempotency_key: Key | UnsetType = UNSET


class History(Command, tag="history"):
    """A page of what a channel has kept."""

    channel: Channel
    after: Annotated[str, Meta(description="The `position` of the page before; left out, the newest events.")] = ""
    limit: Limit = 100


class Presence(Command, tag="presence"):
    """Who is present on a channel, over all workers."""

    channel: Channel
    after: Annotated[str, Meta(description="The `next` of the page before.")] = ""
    limit: Limit = 100


class Ping(Command, tag="ping"):
    """Whether the other end answers, and how far each subscription is."""


AnyCommand = Subscribe | Unsubscribe | Publish | History | Presence | Ping

COMMANDS: Commands[AnyCommand] = Commands(AnyCommand, "docs/websocket-hub.md")
