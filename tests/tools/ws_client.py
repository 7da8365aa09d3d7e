"""A WebSocket on a plain socket, of which each byte and each close is under control; and frames that no library would send."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import struct
from typing import Any, NamedTuple

from tests.tools.plain_socket import PlainSocket, head_of

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class Frame(NamedTuple):
    """As the server sent it."""

    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """Of a close frame."""
        return int(struct.unpack("!H", self.payload[:2])[0]) if self.payload else 1005

    @property
    def reason(self) -> str:
        """Of a close frame."""
        return self.payload[2:].decode()


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, first: int | None = None) -> bytes:
    """A masked frame. The key is zero, so the payload can be read in a dump.

    Args:
        first: Instead of the first byte.
    """
    head = bytes([(0x80 if fin else 0) | opcode if first is None else first])
    size = len(payload)
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += bytes([0x80 | 126]) + struct.pack("!H", size)
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", size)
    return head + bytes(4) + payload


def handshake(path: str, headers: dict[str, str] | None = None) -> bytes:
    """A client's request. A header that is empty is left out."""
    fields = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
    } | (headers or {})
    return head_of(path, {name: value for name, value in fields.items() if value})


class WSClient(PlainSocket):
    """Connects, and shakes hands.

    Attributes:
        body: Of an answer that is not 101.
    """

    def __init__(self, port: int, path: str, headers: dict[str, str] | None = None, **options: Any) -> None:
        super().__init__(port, handshake(path, headers), **options)
        self.body = b"" if self.status == 101 else self._read(int(self.headers["content-length"]))

    def send(self, opcode: int, payload: bytes = b"", *, fin: bool = True) -> None:
        """One frame."""
        self.socket.sendall(frame(opcode, payload, fin=fin))

    def say(self, text: str) -> None:
        """One text message."""
        self.send(TEXT, text.encode())

    def hear(self) -> str:
        """The next frame, which must be a text. A ping before it is answered, as any client does."""
        opcode, payload = self.next()
        while opcode == PING:
            self.send(PONG, payload)
            opcode, payload = self.next()
        assert opcode == TEXT, (opcode, payload)
        return payload.decode()

    def next(self) -> Frame:
        """The next frame.

        Raises:
            ConnectionError: The connection has ended.
            TimeoutError: Nothing came in time.
        """
        first, size = self._read(2)
        assert first & 0x80, "a server of ours never sends fragments"
        assert not size & 0x80, "nor masks"
        if size == 126:
            (size,) = struct.unpack("!H", self._read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._read(8))
        return Frame(first & 0xF, self._read(size))

    def closing(self) -> Frame:
        """The close frame; what comes before it is passed over."""
        while True:
            frame = self.next()
            if frame.opcode == CLOSE:
                return frame

    def has_ended(self) -> bool:
        """Wait for the end of the stream: True for a clean one, False for a reset."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            return False
        return True

    def cut(self) -> None:
        """End both directions. Another thread that writes gets an error; the descriptor stays ours until it has noticed."""
        with contextlib.suppress(OSError):  # of a connection that the server has reset
            self.socket.shutdown(socket.SHUT_RDWR)

    def _read(self, size: int) -> bytes:
        parts = [self._unread[:size]]
        self._unread = self._unread[size:]
        missing = size - len(parts[0])
        while missing:
            piece = self.socket.recv(min(missing, 1 << 16))
            if not piece:
                raise ConnectionError("the stream has ended")
            parts.append(piece)
            missing -= len(piece)
        return b"".join(parts)
