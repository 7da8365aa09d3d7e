"""Encode events as server-sent events.

Source: WHATWG HTML, 9.2.5 (grammar) and 9.2.6 (how a browser reads it).

Rules of this writer: UTF-8 without BOM; LF only; one space after the colon, so that a leading space
of the data survives; empty data still gets a ``data:`` line, or nothing would be dispatched; no
block of id or event alone, because some clients dispatch it as an empty event; every block is built
in one piece and ends with an empty line.
"""

from __future__ import annotations

import re
from dataclasses import replace

from ..data import text_of
from ..event import ALL, LISTENER_PREFIX, USER_PREFIX, Event, label_of
from . import Encoding

_TO_ANY_STREAM = (USER_PREFIX, LISTENER_PREFIX)
# Not str.splitlines(): it also splits on U+2028, U+0085, VT and FF, which a browser keeps in the data.
_LINE_END = re.compile(r"\r\n|\r|\n")


def encode(event: Event) -> bytes:
    """Turn an event into one frame, for a stream of one channel. Every line of ``data`` gets its own ``data:`` field, so no text
    inside an event can start a new field or end the event. A browser joins the lines with LF, whatever ended them.

    The id is the position. An event of ``all``, a user or a listener reaches streams of any channel, so its channel follows the
    position in the id.
    """
    channel = event.channel
    is_foreign = channel == ALL or channel.startswith(_TO_ANY_STREAM)
    return encode_named(event) if is_foreign else _block(event.type, text_of(event.data), f"id: {event.position!s}\n")


def encode_named(event: Event) -> bytes:
    """Turn an event into one frame, for a stream of several channels. The id names the channel, because it is the only field
    that every client shows."""
    channel = label_of(event.channel)
    _check_line(channel)  # a view might have made the event
    return _block(event.type, text_of(event.data), f"id: {event.position!s}/{channel}\n")


def encode_notice(type: str, data: str, id: str) -> bytes:
    """Turn a message of the hub, for example a snapshot, into one block."""
    return encode_fields(type, text_of(data), id)


def encode_fields(type: str, data: str, id: str) -> bytes:
    """Write one block. A client assumes ``message`` if there is no ``event:`` line.

    Args:
        type: Event name without CR, LF or NUL. It is checked when the event is published, and again here, because
            these characters would let one event forge another.
        data: Any text.
        id: Event id without CR, LF or NUL. An empty id is left out.

    Raises:
        ValueError: CR, LF or NUL in ``type`` or ``id``.
    """
    _check_line(id)
    return _block(type, data, f"id: {id}\n" if id else "")


def _block(type: str, data: str, head: str) -> bytes:
    """Write one block after ``head``, which is the line with its id, or empty."""
    if type != "message":
        _check_line(type)
        head += f"event: {type}\n"
    if "\n" in data or "\r" in data:
        data = "\ndata: ".join(_LINE_END.split(data))
    return f"{head}data: {data}\n\n".encode()


def _check_line(field: str) -> None:
    if "\n" in field or "\r" in field or "\0" in field:
        raise ValueError("An SSE event name or id can't have CR, LF or NUL. Remove them.")


def encode_comment() -> bytes:
    """Return a comment line that keeps the connection alive. It has no empty line after it, because one client (httpx-sse)
    dispatches an empty event for that."""
    return b":\n"


def encode_retry(milliseconds: int) -> bytes:
    """Return a ``retry:`` line to put before the next block: some clients dispatch an empty event for a block of ``retry``
    alone."""
    return b"retry: %d\n" % milliseconds


_FOR_SEVERAL = Encoding(
    name="sse",
    content_type="text/event-stream; charset=utf-8",
    event=encode_named,
    notice=encode_notice,
    comment=encode_comment,
    retry=encode_retry,
)
SSE = replace(_FOR_SEVERAL, event=encode, for_several=_FOR_SEVERAL)
