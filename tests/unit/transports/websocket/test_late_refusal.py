"""What came up between the handshake and the first event: HTTP is over, so a close code says it."""

from __future__ import annotations

import socket

import pytest

from app.flask_simulcast import BrokerUnavailableError, Connection, ConnectionClosedError, SimulcastError
from app.flask_simulcast.errors import DrainingError, ListenerLimitError, TooManyListenersError
from app.flask_simulcast.transports.websocket import Limits, closes_if_refused


class Nowhere:
    """The server's socket, of a connection that was not opened."""

    def __init__(self) -> None:
        self._sock = socket.socket()
        self.shutdown = self._sock.shutdown


def refuse(error: SimulcastError) -> tuple[Connection, BaseException]:
    """The connection, and what its handler gets, when the hub refuses so."""
    client = Nowhere()

    with client._sock:
        ws = Connection(client, Limits())
        with pytest.raises(SimulcastError) as caught, closes_if_refused(ws):
            raise error
    return ws, caught.value


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DrainingError("This worker stops."), 1012),
        (ListenerLimitError("This worker is full."), 1013),
        (BrokerUnavailableError("/var/lib/log.db can't be read."), 4002),
    ],
)
def test_a_listener_refused_after_the_handshake_gets_a_code_that_says_come_back(
    error: SimulcastError, code: int
) -> None:
    ws, raised = refuse(error)
    assert isinstance(raised, ConnectionClosedError)
    assert ws.ending is not None
    assert (ws.ending.code, ws.ending.reconnect) == (code, True)
    assert "/var/lib" not in ws.ending.reason


def test_one_who_has_too_many_is_refused_by_the_route_itself() -> None:
    ws, raised = refuse(TooManyListenersError("You have two already."))
    assert isinstance(raised, TooManyListenersError)
    assert ws.ending is None
