"""What is told in a room, as WebSocket messages: the fields of the event beside its type. Pure.

``{"type": "message", "id": "1763690000171-0-4205f3e7", "room": "lobby", "user": "ann", …}``
"""

from __future__ import annotations

import json

from ...flask_simulcast import Encoding, Event, text_frame


def encode(event: Event) -> bytes:
    """One event as one frame, the same for everybody in the room."""
    return encode_notice(event.type, event.data, str(event.position))


def encode_notice(type: str, data: str, id: str) -> bytes:
    """The same for what the hub says. An empty id is left out: of a gap there is none to go on from."""
    fields = json.loads(data)
    if not isinstance(fields, dict):  # a backend may publish to the channel whatever it likes
        fields = {"data": fields}
    head = {"type": type, "id": id} if id else {"type": type}
    # Behind the fields as well: none of them may stand for the type.
    return text_frame(json.dumps(head | fields | head, separators=(",", ":")).encode())


def _nothing() -> bytes:
    """The connection has pings of its own."""
    return b""


def _no_retry(_: int) -> bytes:
    """A close code says whether to come back; the client chooses when."""
    return b""


CHAT = Encoding(
    name="chat",
    content_type="application/json",
    event=encode,
    notice=encode_notice,
    comment=_nothing,
    retry=_no_retry,
)
