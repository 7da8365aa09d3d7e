"""Place: where a client is in a stream: what it has, and so what is new to it. Pure."""

from __future__ import annotations

from dataclasses import replace

from ..event import Position
from .event import ReceivedEvent


class Place:
    """Counts what has come.

    Args:
        position: Up to where the client has all events; empty at the start.

    Attributes:
        position: The same, now.
    """

    def __init__(self, position: str = "") -> None:
        self.position = position
        # Events up to here are duplicates. Not always the position: it is unknown before a snapshot, and after a gap.
        self._floor: Position | None = None
        self._channel: str | None = None  # of a stream of one

    def take(self, event: ReceivedEvent) -> ReceivedEvent | None:
        """Return the event, with its channel on a stream of one. Return None for a duplicate."""
        position = Position.parse(event.position)
        if event.type in ("gap", "connected"):
            self._floor = None
        elif event.type != "heartbeat" and self._floor is not None and position is not None and position <= self._floor:
            return None
        if event.type == "connected":
            channels = event.data.get("channels") if isinstance(event.data, dict) else None
            self._channel = str(channels[0]) if isinstance(channels, list) and len(channels) == 1 else None
        if event.position:
            self.position, self._floor = event.position, position
            if event.channel is None and event.type != "snapshot":
                return replace(event, channel=self._channel)
        return event
