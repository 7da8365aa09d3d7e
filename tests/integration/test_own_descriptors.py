"""Parked connections own their descriptors, whose numbers the kernel gives to the next client."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from app.flask_simulcast.transports.line import SocketLine
from app.flask_simulcast.transports.websocket.wire import OwnWire


@pytest.mark.parametrize(
    ("kind", "close"), [(OwnWire, OwnWire.cut), (partial(SocketLine, is_chunked=False), SocketLine.close)]
)
def test_a_late_write_of_a_connection_that_is_closed_reaches_no_other_client(
    kind: Callable[[int], Any], close: Callable[[Any], None]
) -> None:
    ours, theirs = socket.socketpair()
    descriptor = ours.detach()
    closed = kind(descriptor)
    close(closed)
    theirs.close()
    first, second = socket.socketpair()
    next_client = first.detach()
    if next_client != descriptor:
        os.dup2(next_client, descriptor)
        os.close(next_client)
    try:
        with pytest.raises(OSError, match="Bad file descriptor"):
            closed.send(b"for another client")
        second.setblocking(False)
        with pytest.raises(BlockingIOError):
            second.recv(100)
    finally:
        os.close(descriptor)
        second.close()
