"""Read event streams as a browser reads them."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

_MOST_DIGITS = 15  # of a time in ms; Python refuses a number of 4301 digits


class SSEEvent(NamedTuple):
    """An event as a browser dispatches it.

    Attributes:
        type: The event name; ``message`` if the stream has none.
        data: The data lines, joined with LF.
        id: The last event id that the stream has set so far. An event without an id has that of an earlier event.
    """

    type: str
    data: str
    id: str

    @property
    def json(self) -> Any:
        """What JSON makes of the data."""
        return json.loads(self.data)


class SSEReader:
    """Reads an event stream piece by piece, wherever the pieces are cut.

    Source: WHATWG HTML, 9.2.6.

    Attributes:
        last_event_id: The id that a client would send when it reconnects.
        retry_ms: The last reconnection time that the stream has set, in ms.
    """

    def __init__(self) -> None:
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._is_first = True
        self._line = ""
        self._after_cr = False
        self._type = ""
        self._data: list[str] = []
        self._id = ""

    def feed(self, chunk: bytes) -> list[SSEEvent]:
        """Take the next bytes; return the events that they complete."""
        text = self._decoder.decode(chunk)
        if self._is_first and text:
            self._is_first = False
            text = text.removeprefix("\ufeff")
        if self._after_cr and text:
            self._after_cr = False
            text = text.removeprefix("\n")
        if text.endswith("\r"):
            self._after_cr = True
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        lines[0] = self._line + lines[0]
        self._line = lines.pop()
        return [event for line in lines if (event := self._take(line)) is not None]

    def _take(self, line: str) -> SSEEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._type = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS:
            self.retry_ms = int(value)
        return None

    def _dispatch(self) -> SSEEvent | None:
        self.last_event_id = self._id
        type, data = self._type or "message", self._data
        self._type, self._data = "", []
        return SSEEvent(type, "\n".join(data), self._id) if data else None


def read_sse(stream: bytes | Iterable[bytes]) -> list[SSEEvent]:
    """Return the events of a stream, given whole or in chunks. An unfinished event is left out."""
    reader = SSEReader()
    chunks = [stream] if isinstance(stream, bytes) else stream
    return [event for chunk in chunks for event in reader.feed(chunk)]
