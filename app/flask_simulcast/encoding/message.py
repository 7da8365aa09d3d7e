"""One WebSocket text message an event: a JSON object, whose ``type`` says what it is.

The event's own type stands in ``event``, so that the two can't be taken for each other.
"""

from __future__ import annotations

import json

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
            f'"id":"{event.position}","time":{event.time_ms},"data":{event.data}}}'
        ).encode()
    )


def encode_notice(type: str, data: str, id: str) -> bytes:
    """Turn something the hub says into frames.

    ``connected`` becomes nothing: who opens a listener here answers by itself. ``heartbeat`` becomes a ping: a position without
    a channel could not be told from that of another listener on the same connection. The fields of a ``gap`` stand beside its
    ``type``. All else, a snapshot say, is an event without a channel.
    """
    if type == "connected":
        return b""
    if type == "heartbeat":
        return _PING
    if type == "gap":
        return text_frame(f'{{"type":"gap",{data[1:]}'.encode())
    field = f'"id":{_quote(id)},' if id else ""
    return text_frame(f'{{"type":"event","event":{_quote(type)},{field}"data":{data}}}'.encode())


def encode_comment() -> bytes:
    """A ping."""
    return _PING


def encode_retry(milliseconds: int) -> bytes:
    """Nothing: when to come back stands in the last message of a connection."""
    return b""


MESSAGES = Encoding(
    name="websocket",
    content_type="application/json",
    event=encode,
    notice=encode_notice,
    comment=encode_comment,
    retry=encode_retry,
)
