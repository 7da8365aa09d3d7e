"""Feed: what a hub has for a listener goes to a WebSocket, in a greenlet of its own, while the handler reads.

The seed's first version sends and reads in one loop, and while it reads nothing is sent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gevent

from ..errors import BrokerError, ConnectionClosedError, DrainingError, ListenerLimitError
from ..hub import Hub
from ..listener import CloseReason, Listener
from ..transports.response import MakeListener
from .connection import Connection
from .endings import ENDINGS

Send = Callable[[bytes], object]

_TRY_AGAIN_LATER = 1013
_BUG = 1011
_REASON_OF = {ending.name: reason for reason, ending in ENDINGS.items()}

_log = logging.getLogger("flask_simulcast")


@contextmanager
def feed(
    hub: Hub, ws: Connection, prepare: Callable[[], tuple[MakeListener, bytes]], send: Send | None
) -> Iterator[Listener]:
    """Take a listener on, and send what it is to have, until the block or the listener ends. Switches.

    Args:
        prepare: Makes what makes the listener, and what follows its ``connected``.
        send: Called with each chunk; `Connection.send_frame` when left out.

    Raises:
        ConnectionClosedError: There was no room, or the log can't be read: the WebSocket was closed for that.
    """
    with _told(ws):
        make_listener, prelude = prepare()
        listener = make_listener(lambda: ws.close(listener.close_reason or CloseReason.STALLED))
        try:
            first = hub.add_listener(listener)
        except BaseException:
            hub.remove_listener(listener)  # it may have failed half-way
            raise
    gevent.spawn(_feed, hub, ws, listener, first + prelude, send or ws.send_frame)
    try:
        yield listener
    finally:
        # Its greenlet gives the place back: the hub may be in the middle of a step of this listener. If it waits for a slow
        # client it ends with the WebSocket, a moment after the handler.
        listener.close(_reason(ws))


def _feed(hub: Hub, ws: Connection, listener: Listener, first: bytes, send: Send) -> None:
    try:
        listener.writes()
        send(first)
        while chunk := hub.next_chunk(listener):
            send(chunk)
    except ConnectionClosedError:
        listener.close(_reason(ws))  # the handler finds out by itself
    except Exception:
        _log.exception("What a listener was to be sent could not be sent. Repair it; the client got 1011.")
        ws.close(_BUG)
    finally:
        hub.remove_listener(listener)
    reason = listener.close_reason
    if reason is not None and reason is not CloseReason.CLIENT_GONE:
        ws.close(reason)  # the first ending stays


def _reason(ws: Connection) -> CloseReason:
    """Why it ends, by what became of the connection."""
    return CloseReason.FINISHED if ws.ending is None else _REASON_OF.get(ws.ending.name, CloseReason.CLIENT_GONE)


@contextmanager
def _told(ws: Connection) -> Iterator[None]:
    """What came up since the handshake is told by a close code: HTTP is over."""
    try:
        yield
    except DrainingError as error:
        ws.close(CloseReason.DRAINING)
        raise _closed(ws) from error
    except ListenerLimitError as error:
        ws.close(_TRY_AGAIN_LATER, str(error))
        raise _closed(ws) from error
    except BrokerError as error:
        _log.error("A WebSocket can't begin: %s", error)
        ws.close(CloseReason.BROKER_LOST)
        raise _closed(ws) from error


def _closed(ws: Connection) -> ConnectionClosedError:
    assert ws.ending is not None
    return ConnectionClosedError(ws.ending.code, ws.ending.reason)
