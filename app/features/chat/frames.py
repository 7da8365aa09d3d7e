"""The events of a room as WebSocket messages: the type of an event beside its fields. Pure.

``{"type": "message", "id": "1763690000171-0-4205f3e7", "room": "lobby", "user": "ann", …}``
"""

from __future__ import annotations

import json

from ...flask_simulcast import Encoding, Event, text_frame


def encode(event: Event) -> bytes:
    """Turn one event into one frame, which is the same for everyone in the room."""
    return encode_notice(event.type, event.data, str(event.position))


def encode_notice(type: str, data: str, id: str) -> bytes:
    """Turn a notice of the hub into one frame. An empty id is left out: a gap has no position to resume from."""
    fields = json.loads(data)
    if not isinstance(fields, dict):  # a backend may publish anything to the channel
        fields = {"data": fields}
    head = {"type": type, "id": id} if id else {"type": type}
    # Again after the fields, so that none of them replaces the type.
    return text_frame(json.dumps(head | fields | head, separators=(",", ":")).encode())


def _nothing() -> bytes:
    """Return nothing: a WebSocket has its own pings."""
    return b""


def _no_retry(_: int) -> bytes:
    """Return nothing: a close code says whether to reconnect, and the client chooses when."""
    return b""


CHAT = Encoding(
    name="chat",
    content_type="application/json",
    event=encode,
    notice=encode_notice,
    comment=_nothing,
    retry=_no_retry,
)
