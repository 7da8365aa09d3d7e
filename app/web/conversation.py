"""Conversation: what the WebSockets of the service have in common, in JSON text.

A client sends commands: objects with a ``type``, and an ``id`` of its choice. The server answers each by one `Reply` or one
`Error` with that ``id``. After an error the connection stays open. A feature has a table: a handler for each type of command.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Generic, Protocol, TypeVar, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from ..flask_simulcast import SimulcastError
from . import body
from .errors import ApiError

_MAX_ID_CHARACTERS = 128
_MAX_ID = (1 << 53) - 1  # the largest integer that JavaScript represents exactly

Id = Annotated[
    Annotated[str, Meta(max_length=_MAX_ID_CHARACTERS)] | Annotated[int, Meta(ge=-_MAX_ID, le=_MAX_ID)],
    Meta(description="Chosen by the client; the reply has the same."),
]


class Command(Struct, tag_field="type", forbid_unknown_fields=True):
    """The fields of all commands."""

    id: Id


class Message(Struct, tag_field="type"):
    """The base of all messages of the server."""


class Reply(Message, tag="reply"):
    """The result of a command."""

    id: Id
    result: Any


class Error(Message, tag="error"):
    """A command failed. The connection stays."""

    id: Annotated[Id | None, Meta(description="Null if the message had no readable id.")]
    code: Annotated[str, Meta(description="For programs: as in the answers of HTTP.")]
    message: Annotated[str, Meta(description="For people: what happened, and what to do.")]
    retry_after_seconds: Annotated[int, Meta(description="Seconds to wait, if waiting helps.")] | UnsetType = UNSET


class Done(Struct):
    """The empty result of a command that succeeded."""


class Pong(Struct):
    """The result of `ping`."""

    time: Annotated[int, Meta(description="Unix time in ms.")]


class BadCommandError(ApiError):
    """A message that is not a command.

    Attributes:
        id: Id of the message, if it has one.
    """

    def __init__(self, code: str, message: str, id: str | int | None = None) -> None:
        super().__init__(400, code, message)
        self.id = id


class Talker(Protocol):
    """A connection that carries a conversation: a WebSocket, or a call of RPC."""

    def send(self, message: str, /) -> None:
        """Send one message. Raises `ConnectionClosedError` once the connection has ended. May switch."""


#: Types of the messages that a WebSocket of the service sends by itself. An event of such a type could not be told apart from them.
MESSAGES = frozenset({"connected", "reply", "error", "closing"})

C = TypeVar("C", bound=Command)
Handlers = Mapping[type[C], Callable[..., object]]
"""For each type of command a function that returns its result, or None to send the reply later. It gets what `answerer` was
given for it, and the command."""

_encode = msgspec.json.Encoder().encode


class Commands(Generic[C]):
    """The commands of one kind of WebSocket.

    Args:
        union: A union of subclasses of `Command`.
        document: Path of the document that describes them.
    """

    def __init__(self, union: Any, document: str) -> None:
        self._decoder: msgspec.json.Decoder[C] = msgspec.json.Decoder(union)
        names = ", ".join(str(each.__struct_config__.tag) for each in get_args(union))
        self._hint = f"A message has type ({names}), id, and what {document} says."

    def read(self, text: str) -> C:
        """Read one message. Pure.

        Raises:
            BadCommandError: It is not one of the commands. The error has the ``id`` of the message, if there is one.
        """
        data = text.encode()
        try:
            command = body.parse(data, self._decoder)
        except msgspec.ValidationError as error:
            raise BadCommandError("invalid_command", f"{str(error)[:200]}. {self._hint}", _id_of(data)) from None
        except ApiError:
            raise BadCommandError(
                "not_json", "The message is not JSON, or is nested too deep. Send a JSON object."
            ) from None
        if not _has_only_unicode(command):
            raise BadCommandError("invalid_command", "Half a surrogate pair must not stand there.", _id_of(data))
        return command


def answerer(ws: Talker, commands: Commands[C], handlers: Handlers[C], *given: object) -> Callable[[str | bytes], None]:
    """Return `answer` as a function of a message."""
    return partial(answer, ws, commands, handlers, given)


def answer(
    ws: Talker, commands: Commands[C], handlers: Handlers[C], given: tuple[object, ...], message: str | bytes
) -> None:
    """Answer one message of the client. May switch.

    Args:
        handlers: If one raises an error that is the client's fault or that passes, the answer is an `Error`.
        given: What each handler gets before the command.
    """
    say(ws, _answer(str(message), commands, handlers, given))


def say(ws: Talker, message: Message | None) -> None:
    """Send one message, if there is one. May switch.

    Raises:
        ConnectionClosedError: The connection has ended. The client does not get the message.
    """
    if message is not None:
        ws.send(text_of(message))


def text_of(message: Message) -> str:
    """Return a message as it is sent."""
    return _encode(message).decode()


def error_of(error: ApiError | SimulcastError, id: str | int | None) -> Error:
    """Return the message for an error, which HTTP answers as ``{"error": {"code", "message"}}``.

    Raises:
        SimulcastError: The error is a bug, or the end of the connection.
    """
    if isinstance(error, ApiError):
        after = error.headers.get("Retry-After")
        return Error(id, error.code, str(error), UNSET if after is None else int(after))
    if error.status == 500:
        raise error
    return Error(id, error.code, error.public or str(error))


def pong(*_: object) -> Pong:
    """Answer a `ping`."""
    return Pong(time.time_ns() // 1_000_000)


def _answer(text: str, commands: Commands[C], handlers: Handlers[C], given: tuple[object, ...]) -> Message | None:
    id: str | int | None = None
    try:
        command = commands.read(text)
        id = command.id
        result = handlers[type(command)](*given, command)
    except (ApiError, SimulcastError) as error:
        return error_of(error, error.id if isinstance(error, BadCommandError) else id)
    return None if result is None else Reply(id, result)


def _id_of(data: bytes) -> str | int | None:
    """Return the id of an invalid message, so that the client knows which of its commands failed."""
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


def _has_only_unicode(command: Command) -> bool:
    """Tell whether all texts of a command are Unicode: no answer and no log could carry others. Data is checked at its use."""
    values = [getattr(command, name) for name in command.__struct_fields__ if name != "data"]
    return all(_is_unicode(text) for value in values for text in (value if isinstance(value, list) else [value]))


def _is_unicode(value: object) -> bool:
    """Return False for text with half a surrogate pair."""
    try:
        if isinstance(value, str):
            value.encode()
    except UnicodeEncodeError:
        return False
    return True
