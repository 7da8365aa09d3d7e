"""Turn a refusal after the handshake into a close code, because an HTTP answer is no longer possible."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ...close_reason import CloseReason
from ...errors import BrokerError, ConnectionClosedError, DrainingError, ListenerLimitError
from .connection import Connection

_TRY_AGAIN_LATER = 1013

_log = logging.getLogger("flask_simulcast")


@contextmanager
def closes_if_refused(ws: Connection) -> Iterator[None]:
    """Close the WebSocket if the block can't add its listener: the worker drains or is full, or the log can't be read.

    Raises:
        ConnectionClosedError: Instead of the error of the block. All other errors pass through.
    """
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
