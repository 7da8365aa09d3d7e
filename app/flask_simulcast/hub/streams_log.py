"""The log of streams: one line of JSON at the end of each stream, without a query string and without data."""

from __future__ import annotations

import json
import logging
import time
from itertools import accumulate

from ..close_reason import CloseReason
from ..listener import Listener

# For all channel names of one line. The client chooses them: 32 names of 128 characters made 4.4 kB at each reconnect.
_MAX_CHANNELS_CHARACTERS = 256

_log = logging.getLogger("flask_simulcast.streams")


def log_end(listener: Listener, reason: CloseReason) -> None:
    """Log how long a stream lasted, what it was handed, and why it ended. Costs nothing if the logger is off."""
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
