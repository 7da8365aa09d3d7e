"""What a client may send: a JSON object, whose ``type`` says which command it is, with an ``id`` that the reply carries.

What a string may be is checked by the extension; the patterns here tell it to others, as those of HTTP do.
"""

from __future__ import annotations

import json
from typing import Annotated, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from ....web import body
from ....web.errors import ApiError
from ..schemas import MAX_REPLAY, Channel, Data, Key, Limit, PublishedTo, Type

_MAX_ID_CHARACTERS = 128
_MAX_ID = (1 << 53) - 1  # what JavaScript can tell apart
_EITHER = {"oneOf": [{"required": ["channel"]}, {"required": ["channels"]}]}

Id = Annotated[
    Annotated[str, Meta(max_length=_MAX_ID_CHARACTERS)] | Annotated[int, Meta(ge=-_MAX_ID, le=_MAX_ID)],
    Meta(description="Chosen by the client; the reply has the same."),
]
Channels = Annotated[list[Channel], Meta(min_length=1)]
Replay = Annotated[
    int,
    Meta(ge=0, le=MAX_REPLAY, description="So many of the newest events first, where there is no `position`."),
]


class Command(Struct, tag_field="type", forbid_unknown_fields=True):
    """What all have."""

    id: Id


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
    """Listen to these no more."""


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

_command = msgspec.json.Decoder(AnyCommand)
C = TypeVar("C")


class BadCommandError(ApiError):
    """A message that is no command.

    Attributes:
        id: Of the message, as far as it has one.
    """

    def __init__(self, code: str, message: str, id: str | int | None = None) -> None:
        super().__init__(400, code, message)
        self.id = id


def read(text: str) -> AnyCommand:
    """Read one message. Pure.

    Raises:
        BadCommandError: It is none that there is; its ``id`` is that of the message, where it has one.
    """
    data = text.encode()
    try:
        command: AnyCommand = body.parse(data, _command)
    except msgspec.ValidationError as error:
        raise BadCommandError("invalid_command", _explain(str(error)), _id_of(data)) from None
    except ApiError:
        raise BadCommandError(
            "not_json", "The message is not JSON, or is nested too deep. Send a JSON object."
        ) from None
    if not _has_only_unicode(command):
        raise BadCommandError("invalid_command", "Half a surrogate pair may stand in data alone.", _id_of(data))
    return command


def _explain(what: str) -> str:
    names = ", ".join(each.__struct_config__.tag for each in AnyCommand.__args__)
    return f"{what[:200]}. A message has type ({names}), id, and what docs/websocket-hub.md says."


def _id_of(data: bytes) -> str | int | None:
    """So that a client finds out which of its commands it was."""
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):  # or a number of thousands of digits
        return None
    id = message.get("id") if isinstance(message, dict) else None
    try:
        found: str | int = msgspec.convert(id, Id)
    except (msgspec.ValidationError, UnicodeEncodeError):
        return None
    return found if _is_unicode(found) else None


def _has_only_unicode(command: AnyCommand) -> bool:
    """No answer could carry anything else, and no log."""
    values = [getattr(command, name) for name in command.__struct_fields__ if name != "data"]
    return all(_is_unicode(text) for value in values for text in (value if isinstance(value, list) else [value]))


def _is_unicode(value: object) -> bool:
    """False for text with half a surrogate pair."""
    try:
        if isinstance(value, str):
            value.encode()
    except UnicodeEncodeError:
        return False
    return True
