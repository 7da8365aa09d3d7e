"""The states of a connection, without its socket."""

from __future__ import annotations

from typing import Any

from app.flask_simulcast.close_reason import CloseReason
from app.flask_simulcast.transports.websocket.close_codes import CLIENT_CLOSED, CLOSE_CODES
from app.flask_simulcast.transports.websocket.lifecycle import Lifecycle
from app.flask_simulcast.transports.websocket.limits import Limits


class _GoneClient:
    """A socket whose client has reset the connection."""

    family = type = proto = 0

    def fileno(self) -> int:
        return 0

    def send(self, data: bytes) -> int:
        raise ConnectionResetError

    def ignore(self, *_: object) -> None:
        pass

    recv = setblocking = setsockopt = shutdown = ignore


class _IdleInbox:
    """The inbox of an idle connection whose handler has returned: its end is the connection's."""

    is_full = False

    def __init__(self, ws: Lifecycle) -> None:
        self._ws = ws

    def end(self) -> None:
        self._ws.end(CLOSE_CODES[CloseReason.FINISHED])

    def closed(self) -> None:
        pass


def test_a_connection_that_breaks_while_it_answers_a_close_frame_has_no_alarm() -> None:
    """It would send a ping later, by a descriptor that another client has by then."""
    ws: Any = Lifecycle(_GoneClient(), Limits(), text_only=False)
    ws._inbox = _IdleInbox(ws)
    ws._end_in_order(CLIENT_CLOSED)
    assert not ws.is_open
    assert ws._alarm is None
