"""What a client receives."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from ..encoding.sse_reader import SSEEvent
from ..event import Position


@dataclass(frozen=True)
class ReceivedEvent:
    """One event, as it came.

    Attributes:
        type: What it was published with; ``gap`` for the notice that events are missing.
        data: What was published. Text that is not JSON stays text, for example HTML.
        channel: Its channel. None for a gap and a snapshot, and for events of another kind of server.
        position: From here a later ``listen`` goes on after this event; empty for a gap.
    """

    type: str
    data: Any
    channel: str | None = None
    position: str = ""

    @property
    def time_ms(self) -> int | None:
        """Unix time in ms at which the log stored it. None without a position of a log."""
        position = Position.parse(self.position)
        return None if position is None else position.milliseconds


def received(event: SSEEvent, id: str) -> ReceivedEvent:
    """Return what an event of a stream means. Pure.

    Args:
        event: As a browser would dispatch it.
        id: Its own id; empty if it has none.
    """
    position, slash, channel = id.partition("/")
    if Position.parse(position) is None:
        position, slash, channel = id, "", ""  # of another server
    return ReceivedEvent(event.type, _data(event.data), unquote(channel) if slash else None, position)


def _data(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text  # published as it is
