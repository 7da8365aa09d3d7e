"""What one client may do: bounds, and a bucket that fills with time. Pure: clocks are handed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...settings import Settings

#: A client may save up so many seconds' worth.
BURST_SECONDS = 2
#: For the goodbye: the client's own close frame, and the end of its bytes.
CLOSE_SECONDS = 1.0
#: A client may always send this much: the longest subscribe of /ws with all its channels.
_MIN_MESSAGE_BYTES = 16 << 10


@dataclass(frozen=True)
class Limits:
    """Bounds of one connection. What happens at each is said in `docs/websocket.md`.

    Attributes:
        message_bytes: Of one message from the client.
        fragments: Frames of one message. Measured: 1 000 000 empty ones stopped a worker for 13.5 s.
        messages_per_second: Messages from the client, over time; 0 for no bound.
        frames_per_second: Its frames of any kind: fragments, pings; 0 for no bound.
        queue_bytes: What waits for the handler, and what waits for the client. Each may be more by one message.
        heartbeat_seconds: A client that has sent nothing for so long is pinged.
        stall_seconds: One that answers nothing for so long, or takes nothing, is closed.
        compression: Whether permessage-deflate is agreed on with a client that offers it.
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
        """Those of the settings, but for some."""
        values: dict[str, Any] = {
            "message_bytes": max(2 * settings.max_event_bytes, _MIN_MESSAGE_BYTES),  # an event, and what is around it
            "messages_per_second": settings.websocket_rate,
            "queue_bytes": settings.queue_bytes,
            "heartbeat_seconds": settings.heartbeat_seconds,
            "stall_seconds": settings.stall_seconds,
            "compression": settings.websocket_compression,
        }
        return cls(**values | others)


class Bucket:
    """A token bucket: full at the beginning, with the tokens of `BURST_SECONDS`.

    Args:
        rate: Tokens a second; 0 for no bound.
        now: Monotonic seconds.
    """

    __slots__ = ("_at", "_rate", "_tokens")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._tokens = rate * BURST_SECONDS
        self._at = now

    def take(self, count: int, now: float) -> bool:
        """Whether there were so many. If not, it stays as it was."""
        if not self._rate:
            return True
        tokens = min(self._tokens + (now - self._at) * self._rate, self._rate * BURST_SECONDS) - count
        self._at = now
        self._tokens = tokens if tokens >= 0 else tokens + count
        return tokens >= 0
