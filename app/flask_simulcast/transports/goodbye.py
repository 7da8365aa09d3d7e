"""Goodbye: the last frames of a stream, which tell its client why it ends, and whether and when to reconnect."""

from __future__ import annotations

import json
import random

from ..close_reason import CloseReason
from ..encoding import Encoding
from ..listener import Listener

#: The id of the last ``closed`` of a stream that has ended for good. An EventSource reconnects even then; with this as
#: its ``Last-Event-ID`` it is answered 204, which ends it.
END_ID = "end"

#: Reasons after which the client would read nothing more.
SILENT_REASONS = frozenset({CloseReason.CLIENT_GONE, CloseReason.STALLED})


def goodbye(listener: Listener, retry_ms: int) -> bytes:
    """Return the last chunk of a listener that was closed; empty if its client would not read it."""
    reason = listener.close_reason
    if reason is None or reason in SILENT_REASONS:
        return b""
    encoding = listener.encoding
    data = closed_data(reason.value, reconnect=reason.reconnect)
    return spread_retry(encoding, retry_ms) + encoding.notice("closed", data, "" if reason.reconnect else END_ID)


def closed_data(reason: str, *, reconnect: bool) -> str:
    """Return the data of a ``closed`` event."""
    return json.dumps({"reason": reason, "reconnect": reconnect}, separators=(",", ":"))


def spread_retry(encoding: Encoding, retry_ms: int) -> bytes:
    """Return a retry of half to one and a half times the usual wait, to spread out clients that leave together."""
    return encoding.retry(round(retry_ms * random.uniform(0.5, 1.5)))
