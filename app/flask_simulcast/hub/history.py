"""History on its own: one page, for a caller that asks once and does not listen."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..brokers.base import Broker, Verdict
from ..event import Event, Position

_MAX_BYTES = 1 << 20
_PAGE_BYTES = 64 << 10


class History(NamedTuple):
    """A page of the history of some channels.

    Attributes:
        events: In the order of the log.
        gap: ``{"reason", "channels", "from", "to"}`` if events are missing after the requested position; else None.
        position: Position after which the next page, or a stream, continues.
        has_more: Whether these channels have events after that position.
    """

    events: list[Event]
    gap: dict[str, Any] | None
    position: Position
    has_more: bool


def read_history(broker: Broker, channels: tuple[str, ...], after: str | None, limit: int) -> History:
    """Read at most ``limit`` events, or 1 MiB of them.

    Args:
        after: The text of a position; None for the newest events.
    """
    verdict = _start(broker, channels, after, limit)
    gap = None
    if verdict.reason is not None:
        gap = {
            "reason": verdict.reason,
            "channels": verdict.channels,
            "from": (after or "")[:64],
            "to": str(verdict.to),
        }
    head, position = broker.head(), verdict.resume_at
    events: list[Event] = []
    left = _MAX_BYTES
    while len(events) < limit and left > 0 and position.key < head.key:
        page = broker.page(channels, position, head, min(_PAGE_BYTES, left))
        taken = page.events[: limit - len(events)]
        events += taken
        left -= sum(len(event.data) for event in taken)
        position = page.covered_to if len(taken) == len(page.events) else taken[-1].position
    has_more = position.key < head.key and bool(broker.page(channels, position, head, 1).events)
    return History(events, gap, position, has_more)


def _start(broker: Broker, channels: tuple[str, ...], after: str | None, limit: int) -> Verdict:
    if after is None:
        start = broker.newest(channels, limit)
        return Verdict(None, (), start, start)
    position = Position.parse(after)
    if position is None:
        head = broker.head()
        return Verdict("invalid", channels, head, head)
    return broker.verdict(position, channels)
