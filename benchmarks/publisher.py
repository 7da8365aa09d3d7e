"""A publisher: one kept-alive connection that sends one POST at a time."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable

EVENT_BYTES = 100


def payload(sent_ns: int, number: int) -> bytes:
    """Return the data of one event: the time it was sent (monotonic ns), its number, and padding up to 100 bytes."""
    head = b'{"t":%d,"n":%d,"p":"' % (sent_ns, number)
    return head.ljust(EVENT_BYTES - 2, b"x") + b'"}'


def enveloped(channel: str, payloads: Iterable[bytes]) -> bytes:
    """Return a body for ``POST /api/v1/events``: one object, or an array."""
    events = [b'{"channel":"%s","data":%s}' % (channel.encode(), data) for data in payloads]
    return events[0] if len(events) == 1 else b"[%s]" % b",".join(events)


class Publisher:
    """Sends numbered events.

    Args:
        port: Port on loopback.
        path: Path of the POSTs.
        key: Bearer token, or empty.
        channel: Channel of the events; empty for a server that takes the bare data.
        batch: Events a POST.

    Attributes:
        published: Events sent so far.
        is_waiting: Whether a POST is not answered yet.
        answer_ns: Duration of each answer, in ns.
        refused: Number of answers without a 2xx status.
    """

    def __init__(self, port: int, path: str, key: str, channel: str, batch: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        authorization = f"Authorization: Bearer {key}\r\n" if key else ""
        self._head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n{authorization}"
        self._channel = channel
        self._batch = batch
        self._answer = b""
        self._sent_ns = 0
        self.published = 0
        self.is_waiting = False
        self.answer_ns: list[int] = []
        self.refused = 0

    def fileno(self) -> int:
        """Return the socket's descriptor, for an epoll."""
        return self._socket.fileno()

    def send(self, due_ns: int) -> None:
        """POST the next batch.

        Args:
            due_ns: The time that the events carry; earlier than now if they had to wait.
        """
        payloads = [payload(due_ns, self.published + row) for row in range(self._batch)]
        body = enveloped(self._channel, payloads) if self._channel else payloads[0]
        self._sent_ns = time.monotonic_ns()
        self._socket.sendall(f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        self.published += self._batch
        self.is_waiting = True

    def read(self) -> None:
        """Read the available part of the answer.

        Raises:
            ConnectionError: The server has closed the connection.
        """
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("The server closed the publisher's connection.")
        self._answer += data
        if _is_whole(self._answer):
            self.refused += not self._answer.startswith(b"HTTP/1.1 2")
            self.answer_ns.append(time.monotonic_ns() - self._sent_ns)
            self._answer = b""
            self.is_waiting = False

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    _, _, after = head.lower().partition(b"content-length:")
    return len(body) >= int(after.split(b"\r\n")[0])
