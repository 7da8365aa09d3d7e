"""What one listener has received: bytes to counts. Pure: no socket, no clock.

Reading every event of every listener would make the client the limit. So the client counts each listener's
events and sums up its bytes (CRC-32). It reads every event only of a few listeners, the sampled ones. All
listeners get the same bytes, so a listener with the sum of a sampled one without a gap has no gap either.
"""

from __future__ import annotations

import re
import zlib

from .wires import END_OF_FRAMES

_ALL = 1 << 30
_MARK = b'"n":'
_EVENT = re.compile(rb'"t":(\d+),"n":(\d+)')


class Received:
    """The stream of one listener.

    Args:
        has_greeting: Whether the server first sends a frame that differs for each listener. It is not counted.
        is_sampled: Whether to read every event.
        transport: Its name in `wires`.

    Attributes:
        ready: 1 once the head, and the greeting, have come; 0 before.
        status: Status of the response; 0 before it.
        events: Number of whole events.
        checksum: CRC-32 of their bytes.
        latencies: ``(sent, latency)`` in ns, of a sampled listener.
        wrong: Number of events of a sampled listener that do not follow the one before.
    """

    __slots__ = (
        "_body", "_end_of_frames", "_head", "_is_chunked", "_raw", "_waits_for_greeting", "checksum", "events",
        "is_sampled", "latencies", "ready", "status", "wrong",
    )  # fmt: skip

    def __init__(self, *, has_greeting: bool, is_sampled: bool, transport: str = "sse") -> None:
        self.ready = 0
        self.status = 0
        self.events = 0
        self.checksum = 0
        self.latencies: list[tuple[int, int]] = []
        self.wrong = 0
        self.is_sampled = is_sampled
        self._end_of_frames = END_OF_FRAMES[transport]
        self._waits_for_greeting = has_greeting
        self._is_chunked = False
        self._head = b""
        self._raw = b""
        self._body = b""

    def feed(self, data: bytes, now_ns: int) -> int:
        """Count bytes that were read from the socket.

        Args:
            now_ns: Monotonic ns at which they were read.

        Returns:
            Number of new whole events.
        """
        if not self.status:
            data = self._take_head(data)
        if self._is_chunked:
            data, self._raw = unchunk(self._raw + data)
        whole = self._whole_frames(data)
        if not self.ready:
            whole = self._take_greeting(whole)
        if not whole:
            return 0
        self.checksum = zlib.crc32(whole, self.checksum)
        if self.is_sampled:
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
        self.ready = int(not self._waits_for_greeting)
        return body

    def _whole_frames(self, data: bytes) -> bytes:
        data = self._body + data
        end = self._end_of_frames(data, _ALL)
        if end == len(data):
            self._body = b""
            return data
        self._body = data[end:]
        return data[:end]

    def _take_greeting(self, whole: bytes) -> bytes:
        end = self._end_of_frames(whole, 1)
        self.ready = int(end > 0)
        return whole[end:]

    def _look_at(self, whole: bytes, now_ns: int) -> None:
        for number, (sent, seq) in enumerate(_EVENT.findall(whole), self.events):
            self.wrong += int(seq) != number
            self.latencies.append((int(sent), now_ns - int(sent)))


def unchunk(data: bytes) -> tuple[bytes, bytes]:
    """Return the joined bodies of the whole chunks at the start of these bytes, and the bytes after them."""
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
