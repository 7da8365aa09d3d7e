"""A caller of gRPC that waits for each answer before it sends the next message: a socket, and HTTP/2 as far as that needs it.

A library's own way to each message would be most of a round trip.
"""

from __future__ import annotations

import socket
import struct
from types import TracebackType
from typing import Self

from google.protobuf.message import Message
from hpack import Encoder
from hyperframe.frame import DataFrame, HeadersFrame, PingFrame, SettingsFrame

from .multiplexed import ACK, DATA, END_STREAM, FRAME_HEAD, HEADERS, OPENING, PING, SETTINGS

_ENVELOPE_HEAD = struct.Struct(">BI")
_SECONDS = 10


class Caller:
    """One connection, which has one call at a time.

    Args:
        port: Port on loopback.
        key: Bearer token.
    """

    def __init__(self, port: int, key: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(OPENING)
        self._encoder = Encoder()
        self._about = [("content-type", "application/grpc"), ("authorization", f"Bearer {key}")]
        self._stream = -1
        self._raw = b""
        self._body = b""
        self._has_ended = False

    def begin(self, path: str, first: Message | None = None) -> None:
        """Begin a call; with its only message if it has one."""
        self._stream += 2
        self._body, self._has_ended = b"", False
        head = [(":method", "POST"), (":scheme", "http"), (":authority", "bench"), (":path", path), ("te", "trailers")]
        block = self._encoder.encode([*head, *self._about])
        frames = HeadersFrame(self._stream, block, flags=["END_HEADERS"]).serialize()
        self._socket.sendall(frames if first is None else frames + self._data(first, "END_STREAM"))

    def say(self, message: Message) -> None:
        """Send a message of the call."""
        self._socket.sendall(self._data(message))

    def heard(self) -> bytes:
        """Return the next message of the server.

        Raises:
            RuntimeError: The call has ended.
        """
        while len(self._body) < _ENVELOPE_HEAD.size or len(self._body) < self._size:
            if self._has_ended:
                raise RuntimeError("The server has ended the call without an answer.")
            self._read()
        message, self._body = self._body[_ENVELOPE_HEAD.size : self._size], self._body[self._size :]
        return message

    def finish(self) -> None:
        """Wait for the end of the call."""
        while not self._has_ended:
            self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    @property
    def _size(self) -> int:
        return _ENVELOPE_HEAD.size + int(_ENVELOPE_HEAD.unpack_from(self._body)[1])

    def _data(self, message: Message, *flags: str) -> bytes:
        data = message.SerializeToString()
        return DataFrame(self._stream, _ENVELOPE_HEAD.pack(0, len(data)) + data, flags=flags).serialize()

    def _read(self) -> None:
        """Take the frames of one read.

        Raises:
            RuntimeError: The server has closed the connection.
        """
        data = self._socket.recv(65536)
        if not data:
            raise RuntimeError("The server closed the connection.")
        self._raw += data
        while len(self._raw) >= FRAME_HEAD.size:
            high, low, kind, flags, stream = FRAME_HEAD.unpack_from(self._raw)
            end = FRAME_HEAD.size + (high << 8 | low)
            if len(self._raw) < end:
                break
            payload, self._raw = self._raw[FRAME_HEAD.size : end], self._raw[end:]
            self._take(kind, flags, stream, payload)

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if stream == self._stream:
            self._body += payload if kind == DATA else b""
            self._has_ended |= kind in (DATA, HEADERS) and bool(flags & END_STREAM)
        elif kind == SETTINGS and not flags & ACK:
            self._socket.sendall(SettingsFrame(0, flags=["ACK"]).serialize())
        elif kind == PING and not flags & ACK:
            self._socket.sendall(PingFrame(0, payload, flags=["ACK"]).serialize())
