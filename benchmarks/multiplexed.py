"""What a connection of HTTP/2 with many calls has received: bytes to counts for each. Pure: no socket, no clock.

It reads the frames itself: a library's own way to each would make the client the limit.
"""

from __future__ import annotations

import struct

from hpack import Encoder
from hyperframe.frame import DataFrame, Frame, HeadersFrame, PingFrame, SettingsFrame, WindowUpdateFrame

from .received import Received

FRAME_HEAD = struct.Struct(">HBBBI")
DATA, HEADERS, SETTINGS, PING = 0, 1, 4, 6
END_STREAM = ACK = 1
_MOST = (1 << 31) - 1
_FIRST_WINDOW = 65535
#: What a client sends first: the preface, and windows that never close.
OPENING = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    + SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: _MOST}).serialize()
    + WindowUpdateFrame(0, window_increment=_MOST - _FIRST_WINDOW).serialize()
)


class Multiplexed:
    """The streams of one connection.

    Args:
        calls: What each call receives.

    Attributes:
        ready: Number of calls that have begun.
        reply: Bytes to send to the server; the caller takes them.
        ended: Number of calls that the server has ended.
    """

    def __init__(self, calls: list[Received]) -> None:
        self._calls = {1 + 2 * number: call for number, call in enumerate(calls)}
        self._raw = b""
        self.ready = 0
        self.reply = b""
        self.ended = 0

    def opening(self, path: str, body: bytes) -> bytes:
        """Return the bytes that begin the connection and all calls."""
        frames: list[Frame] = []
        encoder = Encoder()
        head = [(":method", "POST"), (":scheme", "http"), (":authority", "bench"), (":path", path), ("te", "trailers")]
        for stream in self._calls:
            block = encoder.encode([*head, ("content-type", "application/grpc")])
            frames.append(HeadersFrame(stream, block, flags=["END_HEADERS"]))
            frames.append(DataFrame(stream, body, flags=["END_STREAM"]))
        return OPENING + b"".join(frame.serialize() for frame in frames)

    def feed(self, data: bytes, now_ns: int) -> int:
        """Count bytes that were read from the socket; return the number of new whole events."""
        data, at, count = self._raw + data, 0, 0
        while at + FRAME_HEAD.size <= len(data):
            high, low, kind, flags, stream = FRAME_HEAD.unpack_from(data, at)
            begin = at + FRAME_HEAD.size
            end = begin + (high << 8 | low)
            if end > len(data):
                break
            if kind == DATA:
                call = self._calls[stream]
                was_ready = call.ready
                count += call.feed(data[begin:end], now_ns)
                self.ready += call.ready - was_ready
            else:
                self._take(kind, flags, stream, data[begin:end])
            at = end
        self._raw = data[at:]
        return count

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == HEADERS:
            self._calls[stream].status = 200
            self.ended += flags & END_STREAM
        elif kind == SETTINGS and not flags & ACK:
            self.reply += SettingsFrame(0, flags=["ACK"]).serialize()
        elif kind == PING and not flags & ACK:
            self.reply += PingFrame(0, payload, flags=["ACK"]).serialize()
