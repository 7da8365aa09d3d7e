"""What the WebSockets of the service have in common: a conversation in JSON text.

A client sends objects with a ``type`` and, if it likes, an ``id`` of its own; what answers that one has the same ``id``.
What can't be used is answered by ``error``, and the connection stays.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from ..extensions import simulcast
from ..flask_simulcast import Connection, SimulcastError
from . import body
from .errors import ApiError
from .farewell import farewell_of

Kinds = Mapping[str, type[Struct]]
Answer = Mapping[str, Any] | None
Id = str | int | None
_MAX_ID_CHARACTERS = 128


def converse(ws: Connection, kinds: Kinds, answer: Callable[[Any, Id], Answer]) -> None:
    """Answer the client's messages one after another, until it is gone. Switches.

    Args:
        kinds: The types that there are, each with its fields.
        answer: Called with a message and its id. What it raises, and is the client's fault or passes, is told as ``error``.

    Raises:
        ConnectionClosedError: The WebSocket has ended.
    """
    ws.farewell = farewell_of(simulcast.settings.retry_ms)
    while True:
        text = ws.receive()
        id: Id = None
        try:
            fields = _object(text)
            id = _id(fields)
            reply = answer(_message(fields, kinds), id)
        except (ApiError, SimulcastError) as error:
            reply = error_of(error)
        if reply is not None:
            say(ws, reply, id)


def say(ws: Connection, message: Mapping[str, Any], id: Id = None) -> None:
    """Send one message; with an id it answers the one that had it. May switch.

    Raises:
        ConnectionClosedError: The client won't get it.
    """
    ws.send(json.dumps(message if id is None else {**message, "id": id}, separators=(",", ":")))


def error_of(error: ApiError | SimulcastError) -> dict[str, Any]:
    """As a message: what HTTP has as ``{"error": {"code", "message"}}``.

    Raises:
        SimulcastError: It is a bug, or the end of the connection.
    """
    if isinstance(error, ApiError):
        told: dict[str, Any] = {"type": "error", "code": error.code, "message": str(error)}
        if "Retry-After" in error.headers:
            told["retry_after_seconds"] = int(error.headers["Retry-After"])
        return told
    if error.status == 500:
        raise error
    return {"type": "error", "code": error.code, "message": error.public or str(error)}


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        value = body.parse_json(text if isinstance(text, bytes) else text.encode())
    except ApiError as error:
        raise ApiError(400, error.code, str(error).replace("The body", "The message", 1)) from None
    if not isinstance(value, dict):
        raise ApiError(400, "invalid_message", 'A message is a JSON object. Send for example {"type":"ping"}.')
    return value


def _id(fields: dict[str, Any]) -> Id:
    id: object = fields.pop("id", None)
    if id is None or (isinstance(id, str | int) and not isinstance(id, bool) and len(str(id)) <= _MAX_ID_CHARACTERS):
        return id
    raise ApiError(
        400, "invalid_message", f"An id is a whole number, or text, of at most {_MAX_ID_CHARACTERS} characters."
    )


def _message(fields: dict[str, Any], kinds: Kinds) -> Struct:
    type = fields.pop("type", None)
    kind = kinds.get(type) if isinstance(type, str) else None
    if kind is None:
        raise ApiError(400, "unknown_type", f"There is no message {str(type)[:64]!a}. Use {', '.join(kinds)}.")
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        why = str(error)[:200]
    except UnicodeEncodeError:
        why = "A name in it is half a surrogate pair"
    taken = ", ".join(kind.__struct_fields__) or "nothing else"
    raise ApiError(400, "invalid_message", f"{why}. {type} takes {taken}.")
