"""A request on a plain socket, of which each byte and each close is under control."""

from __future__ import annotations

import socket
import struct
from typing import Self


def head_of(path: str, fields: dict[str, str]) -> bytes:
    """A GET with these headers."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode()


class PlainSocket:
    """Connects, sends the head, and reads that of the answer. Use as a context manager.

    Args:
        head: Of the request.
        source: Address to connect from.
        receive_buffer: Of the kernel, in bytes: a small one makes a slow reader.

    Attributes:
        status: Of the answer.
        headers: Names in lower case.
    """

    def __init__(
        self,
        port: int,
        head: bytes,
        *,
        host: str = "127.0.0.1",
        source: str = "",
        timeout: float = 15,
        receive_buffer: int | None = None,
    ) -> None:
        self.socket = socket.socket()
        if source:
            self.socket.bind((source, 0))
        if receive_buffer is not None:  # before it is connected, or the kernel has chosen already
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self._unread = b""
        try:
            self.socket.connect((host, port))
            self.socket.sendall(head)
            first, *lines = self._read_until(b"\r\n\r\n").decode().split("\r\n")
        except OSError:
            self.socket.close()
            raise
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """FIN."""
        self.socket.close()

    def reset(self) -> None:
        """RST, as from a process that was killed."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _read_until(self, end: bytes) -> bytes:
        while end not in self._unread:
            piece = self.socket.recv(65536)
            if not piece:
                raise ConnectionError("the stream has ended")
            self._unread += piece
        head, _, self._unread = self._unread.partition(end)
        return head
