"""The end of a worker: whether each of its listeners is told, and when the worker is gone."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from contextlib import ExitStack, closing
from typing import NamedTuple

from .server import Server

_REQUEST = b"GET /api/v1/stream?channel=bench HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n"
_CONNECTS_UNDER_WAY = 100
_SETTLE_SECONDS = 0.5
_WAIT_SECONDS = 30
_READ_BYTES = 1 << 16
#: What each listener must be told last: when to come back, that the stream is closed, and that nothing is missing.
_GOODBYE = (b"retry: ", b"event: closed", b'"draining"', b"\r\n0\r\n\r\n")


class Drained(NamedTuple):
    """What the stop of a server led to.

    Attributes:
        told: Listeners that had their goodbye, and the end of their stream.
        told_seconds: Seconds until the last stream had ended.
        gone_seconds: Seconds until the worker was gone.
    """

    told: int
    told_seconds: float
    gone_seconds: float


def drain(server: Server, listeners: int) -> Drained:
    """Open streams, let them be idle, and stop the server.

    Raises:
        RuntimeError: A stream did not begin, or not everything has ended in time.
    """
    (worker,) = server.workers
    with ExitStack() as stack:
        crowd = _opened(stack, server.port, listeners)
        time.sleep(_SETTLE_SECONDS)
        epoll = stack.enter_context(closing(select.epoll()))
        process = os.pidfd_open(worker)  # readable at the end of the process
        stack.callback(os.close, process)
        for fd in (process, *crowd):
            epoll.register(fd, select.EPOLLIN)
        os.kill(server.pid, signal.SIGTERM)
        return _read_to_end(epoll, crowd, process)


def _opened(stack: ExitStack, port: int, listeners: int) -> dict[int, socket.socket]:
    crowd: dict[int, socket.socket] = {}
    while len(crowd) < listeners:
        some = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(_CONNECTS_UNDER_WAY)]
        for connection in some:
            stack.enter_context(closing(connection))
            connection.sendall(_REQUEST)
            crowd[connection.fileno()] = connection
        for connection in some:
            head = b""
            while b"event: connected" not in head:
                if not (data := connection.recv(_READ_BYTES)):
                    raise RuntimeError(f"A stream was answered {head[:500]!r}")
                head += data
    return crowd


def _read_to_end(epoll: select.epoll, crowd: dict[int, socket.socket], process: int) -> Drained:
    began = time.monotonic()
    told, told_at, gone_at = 0, 0.0, 0.0
    last = dict.fromkeys(crowd, b"")
    while last or not gone_at:
        ready = epoll.poll(_WAIT_SECONDS)
        if not ready:
            raise RuntimeError(f"{len(last)} streams of a worker that stops did not end.")
        for fd, _ in ready:
            if fd == process:
                gone_at = time.monotonic()
                epoll.unregister(fd)
            elif data := _received(crowd[fd]):
                last[fd] += data
            else:
                told_at = time.monotonic()
                epoll.unregister(fd)
                ending = last.pop(fd)
                told += all(part in ending for part in _GOODBYE)
    return Drained(told, told_at - began, gone_at - began)


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(_READ_BYTES)
    except ConnectionResetError:
        return b""
