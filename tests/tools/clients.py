"""Clients for tests: an SSE connection on a plain socket, of which each byte and each close is under control."""

from __future__ import annotations

import json
import selectors
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from app.flask_simulcast.testing import SSEReader
from tests.tools.plain_socket import PlainSocket, head_of


@dataclass
class Block:
    """One SSE event as it came; ``text`` is all of it, to the byte."""

    id: str = ""
    type: str = "message"
    data: str = ""
    retry: int | None = None
    text: str = ""
    at: float = field(default_factory=time.monotonic)

    @property
    def position(self) -> str:
        """Its id, without the channel that may stand behind it."""
        return self.id.partition("/")[0]

    @property
    def json(self) -> Any:
        """Its data, parsed."""
        return json.loads(self.data)


class SSEClient(PlainSocket):
    """Connects, reads block by block.

    Attributes:
        last_id: Of the last event that had one.
        is_clean_end: The body ended with its last chunk, not by a cut connection.
    """

    def __init__(
        self,
        port: int,
        path: str,
        *,
        last_event_id: str | None = None,
        headers: dict[str, str] | None = None,
        accept: str = "text/event-stream",
        **options: Any,
    ) -> None:
        fields = {"Host": "localhost", "Accept": accept} | (headers or {})
        if last_event_id is not None:
            fields["Last-Event-ID"] = last_event_id
        super().__init__(port, head_of(path, fields), **options)
        self.last_id = last_event_id or ""
        self.is_clean_end = False
        self._text = b""
        self._blocks: deque[bytes] = deque()
        self._is_chunked = self.headers.get("transfer-encoding") == "chunked"

    def next(self) -> Block | None:
        """The next block that has data; None at the end of the stream.

        Raises:
            TimeoutError: Nothing came in time.
        """
        while True:
            while not self._blocks:
                if not self._fill():
                    return None
                *blocks, self._text = self._text.split(b"\n\n")
                self._blocks.extend(blocks)
            block = _parse(self._blocks.popleft())
            if block is not None:
                if block.id:
                    self.last_id = block.id
                return block

    def take(self, count: int, type: str | None = None) -> list[Block]:
        """Read a number of blocks, of one type if named. Others are skipped."""
        blocks = []
        while len(blocks) < count:
            block = self.next()
            assert block is not None, f"the stream ended after {len(blocks)} of {count}"
            if type is None or block.type == type:
                blocks.append(block)
        return blocks

    def until(self, type: str) -> Block:
        """The next block of this type."""
        return self.take(1, type)[0]

    def rest(self) -> list[Block]:
        """All blocks to the end of the stream."""
        blocks = []
        while (block := self.next()) is not None:
            blocks.append(block)
        return blocks

    def _fill(self) -> bool:
        """Add to the text. False at the end."""
        if not self._is_chunked:
            piece, self._unread = self._unread or self._receive(), b""
            self._text += piece
            self.is_clean_end = not piece
            return bool(piece)
        while True:
            size_text, separator, rest = self._unread.partition(b"\r\n")
            if separator:
                size = int(size_text, 16)
                if len(rest) >= size + 2:
                    self._unread = rest[size + 2 :]
                    self._text += rest[:size]
                    self.is_clean_end = size == 0
                    return size > 0
            piece = self._receive()
            if not piece:
                return False
            self._unread += piece

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(65536)
        except ConnectionResetError:
            return b""


def _parse(text: bytes) -> Block | None:
    """The event of one block. A reader of its own tells which id the block itself has."""
    reader = SSEReader()
    events = reader.feed(text + b"\n\n")
    return Block(events[0].id, events[0].type, events[0].data, reader.retry_ms, text.decode()) if events else None


class Crowd(threading.Thread):
    """Many connections that read and throw away, so that a pass of the broadcaster takes its time."""

    def __init__(self, port: int, path: str, count: int) -> None:
        super().__init__(daemon=True)
        self._selector = selectors.DefaultSelector()
        self._is_over = threading.Event()
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", port), timeout=10)
            sock.sendall(request)
            self._selector.register(sock, selectors.EVENT_READ)

    def run(self) -> None:
        while not self._is_over.is_set():
            for key, _ in self._selector.select(0.1):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if not sock.recv(1 << 20):
                    self._selector.unregister(sock)
                    sock.close()

    def __enter__(self) -> Crowd:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self.join(10)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()
