"""Call a function of an app for a WebSocket, and tell how its connection ends if the function raises."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ...close_reason import CloseReason
from ...errors import ConnectionClosedError, SimulcastError
from ...metrics import Metrics
from .close_codes import BUG, CLOSE_CODES, REFUSED, CloseCode
from .connection import Connection

_log = logging.getLogger("flask_simulcast")


def attempt(ws: Connection, metrics: Metrics, path: str, function: Callable[[], object]) -> CloseCode | None:
    """Call a function; return the ending for its error, None if it has returned. A bug is logged and counted.

    Args:
        path: Path of the URL, for the log.
    """
    try:
        function()
    except Exception as error:
        ending = _ending_of(error, ws)
        if ending is BUG:
            metrics.count("websocket_errors_total")
            _log.exception("A handler of the WebSocket %s failed. Fix it; the client got 1011.", path)
        return ending
    return None


def _ending_of(error: Exception, ws: Connection) -> CloseCode:
    if isinstance(error, ConnectionClosedError) and not ws.is_open:
        return CLOSE_CODES[CloseReason.FINISHED]  # ignored, because the connection has an ending already
    if isinstance(error, SimulcastError) and error.status < 500:
        return REFUSED.saying(error.public or str(error))
    return BUG
