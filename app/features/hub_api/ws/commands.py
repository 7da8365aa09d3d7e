"""The commands of a client: JSON objects with a ``type`` and an ``id``, which the reply repeats.

The extension checks the values of strings. The patterns here only document them, as those of HTTP do.
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
    Meta(ge=0, le=MAX_REPLAY, description="Number of recent events to send first, if there is no `position`."),
]


class OfChannels(Command):
    """Either `channel` or `channels`."""

    channel: Channel | UnsetType = UNSET
    channels: Channels | UnsetType = UNSET

    @property
    def names(self) -> list[str]:
        """All channels that the command names.

        Raises:
            ApiError: 400: it has both fields, or none.
        """
        if (self.channel is UNSET) == (self.channels is UNSET):
            raise ApiError(400, "invalid_command", "Name either channel or channels. Send one of the two.")
        return self.channels if self.channels is not UNSET else [self.channel]  # type: ignore[list-item]


class Subscribe(OfChannels, tag="subscribe"):
    """Listen to channels: one subscription for all of them, with one position."""

    position: (
        Annotated[str, Meta(description="Resume after this position: the id of the last event that you have.")]
        | UnsetType
    ) = UNSET
    replay: Replay | UnsetType = UNSET


class Unsubscribe(OfChannels, tag="unsubscribe"):
    """Stop listening to these channels."""


class Publish(Command, tag="publish"):
    """Publish one event."""

    channel: PublishedTo
    data: Data
    event: Type = "message"
    idempotency_key: Key | UnsetType = UNSET


class History(Command, tag="history"):
    """Read a page of a channel's history."""

    channel: Channel
    after: Annotated[str, Meta(description="The `position` of the previous page. Without it, the newest events.")] = ""
    limit: Limit = 100


class Presence(Command, tag="presence"):
    """List the members of a channel, over all workers."""

    channel: Channel
    after: Annotated[str, Meta(description="The `next` of the previous page.")] = ""
    limit: Limit = 100


class Ping(Command, tag="ping"):
    """Ask whether the service answers, and for the position of each subscription."""


AnyCommand = Subscribe | Unsubscribe | Publish | History | Presence | Ping

COMMANDS: Commands[AnyCommand] = Commands(AnyCommand, "docs/websocket-hub.md")
