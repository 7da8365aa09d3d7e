"""Encode each event as one WebSocket text message: a JSON object whose ``type`` names the kind of message.

The event's own type is in ``event``, so that the two can't be confused. The ``data`` of a raw event is a string, and
``"raw":true`` follows it.
"""

from __future__ import annotations

import json

from ..data import data_members
from ..event import Event
from . import Encoding
from .websocket import PING, frame, text_frame

_quote = json.encoder.encode_basestring_ascii
_PING = frame(PING, b"")


def encode(event: Event) -> bytes:
    """Turn an event into one whole frame. ``data`` is JSON already and is put in as it is."""
    return text_frame(
        (
            f'{{"type":"event","channel":{_quote(event.channel)},"event":{_quote(event.type)},'
            f'"id":"{event.position}","time":{event.time_ms},{data_members(event.data)}}}'
        ).encode()
    )


def encode_notice(type: str, data: str, id: str) -> bytes:
    """Turn a message of the hub into frames.

    ``connected`` becomes nothing, because the handler that opens a listener here answers by itself. ``heartbeat`` becomes a
    ping: a client could not tell a position without a channel from that of another listener on the same connection. The fields
    of a ``gap`` are beside its ``type``. Every other message, for example a snapshot, is an event without a channel.
    """
    if type == "connected":
        return b""
    if type == "heartbeat":
        return _PING
    if type == "gap":
        return text_frame(f'{{"type":"gap",{data[1:]}'.encode())
    field = f'"id":{_quote(id)},' if id else ""
    return text_frame(f'{{"type":"event","event":{_quote(type)},{field}{data_members(data)}}}'.encode())


def encode_comment() -> bytes:
    """Return a ping."""
    return _PING


def encode_retry(milliseconds: int) -> bytes:
    """Return nothing: the last message of a connection says when to reconnect."""
    return b""


MESSAGES = Encoding(
    name="websocket",
    content_type="application/json",
    event=encode,
    notice=encode_notice,
    comment=encode_comment,
    retry=encode_retry,
)
