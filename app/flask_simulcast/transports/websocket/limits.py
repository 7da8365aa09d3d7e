"""The limits of one client: bounds, and a token bucket. Pure: the caller passes the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...settings import Settings

#: Seconds of the rate that a client can save up for a burst.
BURST_SECONDS = 2
# The tokens of a burst are taken one by one, and their seconds summed up.
_ROUNDING_SECONDS = 1e-6
#: Seconds to wait for the client's own close frame and the end of its bytes.
CLOSE_SECONDS = 1.0
#: Bytes that a client may always send, however small events are: a subscribe of /ws to 32 channels needs 5 KB.
_MIN_MESSAGE_BYTES = 16 << 10


@dataclass(frozen=True)
class Limits:
    """Bounds of one connection.

    Attributes:
        message_bytes: Largest message from the client, in bytes.
        fragments: Largest number of frames in one message. Measured: 1 000 000 empty ones stopped a worker for 13.5 s.
        messages_per_second: Rate limit of messages from the client; 0 for no limit.
        frames_per_second: Rate limit of frames of any kind, such as fragments and pings; 0 for no limit. Ten for each message.
        queue_bytes: Bytes that can wait for the handler, and bytes that can wait for the client. One message can exceed it,
            and two for the client.
        heartbeat_seconds: Seconds without a byte from the client after which it is pinged.
        stall_seconds: Seconds after which a client that answers nothing, or reads nothing, is closed.
        compression: True to accept permessage-deflate from a client that offers it.
    """

    message_bytes: int = 128 << 10
    fragments: int = 1024
    messages_per_second: float = 100
    frames_per_second: float = 1000
    queue_bytes: int = 64 << 10
    heartbeat_seconds: float = 15
    stall_seconds: float = 60
    compression: bool = False

    @classmethod
    def of(cls, settings: Settings, **others: Any) -> Limits:
        """Make the limits of the settings, with ``others`` replaced."""
        values: dict[str, Any] = {
            "message_bytes": max(2 * settings.max_event_bytes, _MIN_MESSAGE_BYTES),  # an event, and its envelope
            "messages_per_second": settings.websocket_rate,
            "queue_bytes": settings.queue_bytes,
            "heartbeat_seconds": settings.heartbeat_seconds,
            "stall_seconds": settings.stall_seconds,
            "compression": settings.websocket_compression,
        }
        return cls(**values | others)


class Bucket:
    """A token bucket. It begins full, with the tokens of `BURST_SECONDS`.

    Args:
        rate: Tokens per second; 0 for no limit.
    """

    __slots__ = ("_full_at", "_rate")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._full_at = 0.0  # monotonic seconds at which it will be full; its tokens follow from that

    def take(self, count: int, now: float) -> bool:
        """Take tokens; return whether there were enough. If not, none is taken."""
        if not self._rate:
            return True
        full_at = max(self._full_at, now) + count / self._rate
        if full_at > now + BURST_SECONDS + _ROUNDING_SECONDS:
            return False
        self._full_at = full_at
        return True
