"""One line a stream, at its end, as JSON: no query string, no data."""

from __future__ import annotations

import json
import logging
import time
from itertools import accumulate

from ..listener import CloseReason, Listener

# Of all names in one line. A client chooses them, and 32 of 128 characters were 4.4 kB each time that it came and went.
_MAX_CHANNELS_CHARACTERS = 256

_log = logging.getLogger("flask_simulcast.streams")


def log_end(listener: Listener, reason: CloseReason) -> None:
    """Say how long it lasted, what it was handed, and why it ended. Costs nothing where nobody wants to know."""
    if not _log.isEnabledFor(logging.INFO):
        return
    channels = listener.channels
    shown = sum(end <= _MAX_CHANNELS_CHARACTERS for end in accumulate(map(len, channels)))
    line = {
        "stream": listener.id,
        "user": listener.grant.user,
        "channels": channels[:shown],
        **({"more_channels": len(channels) - shown} if shown < len(channels) else {}),
        "encoding": listener.encoding.name,
        "reason": reason.value,
        "seconds": round(time.monotonic() - listener.came_at, 3),
        "events": listener.events,
        "bytes": listener.bytes,
    }
    _log.info("%s", json.dumps(line))
