"""A connection whose handler has returned: once it is closed, nothing is written to its descriptor, which another one may have."""

from __future__ import annotations

import socket
from typing import Any, cast

import pytest
from gevent.event import Event as Flag

from app.flask_simulcast.loop import is_patched
from app.flask_simulcast.transports.client_watch import HAS_EPOLL
from app.flask_simulcast.transports.kept_request import KeptRequest
from app.flask_simulcast.transports.websocket.connection import Connection
from app.flask_simulcast.transports.websocket.connections import Connections
from app.flask_simulcast.transports.websocket.limits import Limits
from app.flask_simulcast.transports.websocket.served import Served
from tests.unit.transports.websocket.frames import CLOSE, sent

pytestmark = pytest.mark.skipif(
    not (HAS_EPOLL and is_patched()), reason="a WebSocket parks in a patched process with epoll"
)

_SECONDS = 10


class Open:
    """The connections of a worker, and the request of one of them."""

    path = "/ws"

    def __init__(self) -> None:
        self.is_removed = Flag()

    def remove(self, ws: Connection, path: str) -> None:
        self.is_removed.set()


def test_a_client_that_says_goodbye_and_is_gone_before_the_answer_leaves_no_alarm() -> None:
    ours, client = socket.socketpair()
    there: Any = Open()
    ws = Connection(ours, Limits())
    ws.open(b"")
    ws.park(Served(ws, cast("Connections", there), cast("KeptRequest", there), ws.inbox), ours.detach())
    client.sendall(sent(CLOSE))
    client.close()
    assert there.is_removed.wait(_SECONDS)
    assert ws._alarm is None
