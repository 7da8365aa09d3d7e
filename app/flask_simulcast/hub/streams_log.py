"""One line a stream, at its end, as JSON: no query string, no data."""

from __future__ import annotations

import json
import logging
import time

from ..listener import CloseReason, Listener

_log = logging.getLogger("flask_simulcast.streams")


def log_end(listener: Listener, reason: CloseReason) -> None:
    """Say how long it lasted, what it was handed, and why it ended. Costs nothing where nobody wants to know."""
    if not _log.isEnabledFor(logging.INFO):
        return
    line = {
        "stream": listener.id,
        "user": listener.grant.user,
        "channels": listener.channels,
        "encoding": listener.encoding.name,
        "reason": reason.value,
        "seconds": round(time.monotonic() - listener.came_at, 3),
        "events": listener.events,
        "bytes": listener.bytes,
    }
    _log.info("%s", json.dumps(line))
