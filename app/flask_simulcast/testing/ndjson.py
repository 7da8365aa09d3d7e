"""Read streams of NDJSON."""

from __future__ import annotations

import codecs
import json

from ..encoding.sse_reader import SSEEvent


class NDJSONReader:
    """Reads a stream of lines piece by piece, wherever the pieces are cut. Its events look like those of `SSEReader`."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._line = ""

    def feed(self, chunk: bytes) -> list[SSEEvent]:
        """Take the next bytes; return the events that they complete."""
        *lines, self._line = (self._line + self._decoder.decode(chunk)).split("\n")
        return [_event(json.loads(line)) for line in lines if line]


def _event(line: dict[str, object]) -> SSEEvent:
    data = line["data"]
    text = str(data) if line.get("raw") else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return SSEEvent(str(line["type"]), text, str(line.get("id", "")))
