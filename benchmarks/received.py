"""What one listener has received: bytes to counts. Pure: no socket, no clock.

To look into every event of every listener would make the client the limit. So each listener's events are
counted and its bytes summed up (CRC-32); a few listeners, the sampled ones, have every event read. All
listeners get the same bytes, hence a listener with the sum of a sampled one that has no gap has none either.
"""

from __future__ import annotations

import re
import zlib

_MARK = b'"n":'
_EVENT = re.compile(rb'"t":(\d+),"n":(\d+)')


class Received:
    """The stream of one listener.

    Args:
        has_greeting: The server sends a frame of its own first, not the same for everybody. It is not counted.
        is_sampled: Read every event.
        is_websocket: Frames are those of a WebSocket; else a blank line ends each.

    Attributes:
        is_ready: The head, and the greeting, have come.
        status: Of the response; 0 before it.
        events: Whole events.
        checksum: Of their bytes.
        latencies: ``(sent, latency)`` in ns, of a sampled listener.
        wrong: Events of a sampled listener whose number is not the one after the last.
    """

    __slots__ = (
        "_body", "_head", "_is_chunked", "_is_sampled", "_is_websocket", "_raw", "_waits_for_greeting", "checksum", "events",
        "is_ready", "latencies", "status", "wrong",
    )  # fmt: skip

    def __init__(self, *, has_greeting: bool, is_sampled: bool, is_websocket: bool = False) -> None:
        self.is_ready = False
        self.status = 0
        self.events = 0
        self.checksum = 0
        self.latencies: list[tuple[int, int]] = []
        self.wrong = 0
        self._is_sampled = is_sampled
        self._is_websocket = is_websocket
        self._waits_for_greeting = has_greeting
        self._is_chunked = False
        self._head = b""
        self._raw = b""
        self._body = b""

    def feed(self, data: bytes, now_ns: int) -> int:
        """Take what was read from the socket.

        Args:
            now_ns: Monotonic ns at which it was read.

        Returns:
            New whole events.
        """
        if not self.status:
            data = self._take_head(data)
        if self._is_chunked:
            data, self._raw = unchunk(self._raw + data)
        whole = self._whole_frames(data)
        if not self.is_ready:
            whole = self._take_greeting(whole)
        if not whole:
            return 0
        self.checksum = zlib.crc32(whole, self.checksum)
        if self._is_sampled:
            self._look_at(whole, now_ns)
        count = whole.count(_MARK)
        self.events += count
        return count

    def _take_head(self, data: bytes) -> bytes:
        self._head += data
        head, end, body = self._head.partition(b"\r\n\r\n")
        if not end:
            return b""
        self.status = int(head[9:12])
        self._is_chunked = b"\r\ntransfer-encoding: chunked" in head.lower()
        self.is_ready = not self._waits_for_greeting
        return body

    def _whole_frames(self, data: bytes) -> bytes:
        data = self._body + data
        end = end_of_frames(data) if self._is_websocket else data.rfind(b"\n\n") + 2
        if end == len(data):
            self._body = b""
            return data
        if end <= 1:
            self._body = data
            return b""
        self._body = data[end:]
        return data[:end]

    def _take_greeting(self, whole: bytes) -> bytes:
        end = end_of_frames(whole, 1) if self._is_websocket else whole.find(b"\n\n") + 2
        self.is_ready = end > 1
        return whole[end:] if self.is_ready else b""

    def _look_at(self, whole: bytes, now_ns: int) -> None:
        for number, (sent, seq) in enumerate(_EVENT.findall(whole), self.events):
            self.wrong += int(seq) != number
            self.latencies.append((int(sent), now_ns - int(sent)))


def end_of_frames(data: bytes, most: int = 1 << 30) -> int:
    """Where the last whole WebSocket frame ends that these bytes hold, or the first so many. Of a server: unmasked, below 64 KiB."""
    end = 0
    while most and end + 2 <= len(data):
        size = data[end + 1]
        head = 2
        if size == 126:
            if end + 4 > len(data):
                break
            size = data[end + 2] << 8 | data[end + 3]
            head = 4
        if end + head + size > len(data):
            break
        end += head + size
        most -= 1
    return end


def unchunk(data: bytes) -> tuple[bytes, bytes]:
    """The bodies of the whole chunks that these bytes begin with, joined, and the bytes after them."""
    parts = []
    start = 0
    while (line_end := data.find(b"\r\n", start)) >= 0:
        begin = line_end + 2
        end = begin + int(data[start:line_end], 16)
        if end + 2 > len(data):
            break
        parts.append(data[begin:end])
        start = end + 2
    return b"".join(parts), data[start:]
