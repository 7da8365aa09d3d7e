"""Feed: what a hub has for a listener goes to a WebSocket while the handler reads, for as long as a block lasts.

The seed's first version sends and reads in one loop, and while it reads nothing is sent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ...errors import BrokerError, ConnectionClosedError, DrainingError, ListenerLimitError
from ...hub.hub import Hub
from ...listener import CloseReason, Listener
from ..response import MakeListener
from .connection import Connection
from .subscription import Subscription

_TRY_AGAIN_LATER = 1013

_log = logging.getLogger("flask_simulcast")


@contextmanager
def feed(
    hub: Hub,
    ws: Connection,
    prepare: Callable[[], tuple[MakeListener, bytes]],
    send: Callable[[bytes], object] | None = None,
) -> Iterator[Listener]:
    """Take a listener on, and send what it is to have, until the block or the listener ends. Switches.

    Args:
        prepare: Makes what makes the listener, and what follows its ``connected``.
        send: As of `Subscription`.

    Raises:
        ConnectionClosedError: There was no room, or the log can't be read: the WebSocket was closed for that.
    """
    with _told(ws):
        subscription = Subscription(hub, ws, *prepare(), send=send)
    subscription.start()
    try:
        yield subscription.listener
    finally:
        subscription.stop()


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
