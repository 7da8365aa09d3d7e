"""Server-sent events.

Source: WHATWG HTML, 9.2.5 (grammar) and 9.2.6 (how a browser reads it).

Rules of this writer: UTF-8 without BOM; LF only; one space after the colon, so that a leading space
of the data survives; empty data still gets a ``data:`` line, or nothing would be dispatched; no
block of id or event alone, because some clients dispatch it as an empty event; every block ends in
the same bytes that begin it.
"""

from __future__ import annotations

import re
from dataclasses import replace

from ..event import ALL, LISTENER_PREFIX, USER_PREFIX, Event, label_of
from . import Encoding

_TO_ANY_STREAM = (USER_PREFIX, LISTENER_PREFIX)
# Not str.splitlines(): it also splits on U+2028, U+0085, VT and FF, which a browser keeps in the data.
_LINE_END = re.compile(r"\r\n|\r|\n")


def encode(event: Event) -> bytes:
    """Turn an event into one frame, for a stream of one channel. Every line of ``data`` gets its own ``data:`` field, so no text
    inside an event can start a new field or end the event.

    The id is the position. Behind that of an event of another channel than the stream's own, one that reaches listeners of any
    channel, stands the channel.
    """
    channel = event.channel
    is_foreign = channel == ALL or channel.startswith(_TO_ANY_STREAM)
    return encode_named(event) if is_foreign else _block(event.type, event.data, f"id: {event.position!s}\n")


def encode_named(event: Event) -> bytes:
    """The same for a stream of several channels: each event names its own, in the one field that every client shows, its id."""
    channel = label_of(event.channel)
    _check_line(channel)  # a view may have made the event
    return _block(event.type, event.data, f"id: {event.position!s}/{channel}\n")


def encode_fields(type: str, data: str, id: str) -> bytes:
    """Write one block. ``message`` is what a client assumes when there is no ``event:`` line.

    Args:
        type: Without CR, LF or NUL; checked when the event was published, and again here, because a
            block that carries them would let one event forge another.
        data: Any text.
        id: Without CR, LF or NUL. Left out when empty.

    Raises:
        ValueError: CR, LF or NUL in ``type`` or ``id``.
    """
    _check_line(id)
    return _block(type, data, f"id: {id}\n" if id else "")


def _block(type: str, data: str, head: str) -> bytes:
    """One block behind a line with its id, or none."""
    if type != "message":
        _check_line(type)
        head += f"event: {type}\n"
    if "\n" in data or "\r" in data:
        data = "\ndata: ".join(_LINE_END.split(data))
    return f"{head}data: {data}\n\n".encode()


def _check_line(field: str) -> None:
    if "\n" in field or "\r" in field or "\0" in field:
        raise ValueError("CR, LF and NUL can't stand in an SSE event name or id.")


def encode_comment() -> bytes:
    """A line that keeps proxies and sockets awake. Without an empty line behind it, for which one client (httpx-sse)
    dispatches an empty event."""
    return b":\n"


def encode_retry(milliseconds: int) -> bytes:
    """A line for the head of the next block: some clients take a block of ``retry`` alone for an empty event."""
    return b"retry: %d\n" % milliseconds


_FOR_SEVERAL = Encoding(
    name="sse",
    content_type="text/event-stream; charset=utf-8",
    event=encode_named,
    notice=encode_fields,
    comment=encode_comment,
    retry=encode_retry,
)
SSE = replace(_FOR_SEVERAL, event=encode, for_several=_FOR_SEVERAL)
