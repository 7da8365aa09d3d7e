"""A caller: a kept-alive connection, and the requests that it sends, to the byte."""

from __future__ import annotations

import select
import socket

from tests.tools.serving import Server


def post(body: bytes, *fields: str, path: str = "/api/v1/events") -> bytes:
    head = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *fields,
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


class Caller:
    """A kept-alive connection, of which each answer is read whole."""

    def __init__(self, server: Server, *, timeout: float = 10) -> None:
        self.socket = socket.create_connection((server.host, server.port), timeout=timeout)
        self._unread = b""

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        while b"\r\n\r\n" not in self._unread:
            self._read()
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(headers["content-length"])
        while len(self._unread) < length:
            self._read()
        body, self._unread = self._unread[:length], self._unread[length:]
        return int(first.split()[1]), headers, body

    def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        self.socket.sendall(request)
        return self.answer()

    def has_answer(self) -> bool:
        """Tell whether anything has come that was not read."""
        return bool(self._unread) or bool(select.select([self.socket], [], [], 0)[0])

    def has_ended(self) -> bool:
        return not self.socket.recv(1)

    def _read(self) -> None:
        piece = self.socket.recv(65536)
        assert piece, "the connection has ended"
        self._unread += piece
