"""Ring: the newest events that this worker's pump has read, for listeners that are about to go live."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence

from ..brokers.base import PAGE_EVENTS, Page
from ..data import byte_length
from ..event import Event, Position

_EVENT_BYTES = 200  # memory of an event besides its data


class Ring:
    """All events after one position, in order, of all channels. Bounded by count and bytes; the oldest are dropped first.

    Args:
        max_events: Maximum number of events. With 0 every page is read from the broker.
        max_bytes: Maximum size in bytes: the data, and 200 for each event.
    """

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._bytes = 0
        self._events: list[Event] = []
        self._of_channel: dict[str, list[Event]] = {}
        self._complete_after = 0

    def restart(self, position: Position) -> None:
        """Drop all events. From here on the ring is complete after ``position``."""
        self._events.clear()
        self._of_channel.clear()
        self._bytes = 0
        self._complete_after = position.key

    def extend(self, events: Sequence[Event]) -> None:
        """Add events that the pump has just read."""
        self._events.extend(events)
        for event in events:
            self._of_channel.setdefault(event.channel, []).append(event)
        self._bytes += sum([byte_length(event.data) for event in events]) + _EVENT_BYTES * len(events)
        if len(self._events) > self._max_events or self._bytes > self._max_bytes:
            self._shorten()

    def reaches(self, position: Position) -> bool:
        """Tell whether the ring has all events after a position."""
        return position.key >= self._complete_after

    def page(self, channels: Iterable[str], after: Position, up_to: Position, max_bytes: int) -> Page | None:
        """Return a page as `Broker.page` does, from memory; None if the ring does not reach back to ``after``."""
        if not self.reaches(after):
            return None
        events: list[Event] = []
        size = 0
        for event in self._between(channels, after.key, up_to.key):
            size += byte_length(event.data)
            if events and (size > max_bytes or len(events) == PAGE_EVENTS):
                return Page(events, events[-1].position, {})
            events.append(event)
        return Page(events, up_to, {})

    def _between(self, channels: Iterable[str], after: int, up_to: int) -> Iterable[Event]:
        """Return the events of these channels between two keys, in order."""
        stretches = []
        for channel in channels:
            events = self._of_channel.get(channel)
            if events is not None and events[-1].position.key > after:
                stretches.append(events[bisect_right(events, after, key=_key) : bisect_right(events, up_to, key=_key)])
        return stretches[0] if len(stretches) == 1 else heapq.merge(*stretches, key=_key)

    def _shorten(self) -> None:
        """Drop the oldest events, down to seven eighths of the bounds, so that this does not happen at every event."""
        surplus = max(len(self._events) - self._max_events * 7 // 8, 0)
        size = self._bytes - sum(byte_length(e.data) + _EVENT_BYTES for e in self._events[:surplus])
        while surplus < len(self._events) and size > self._max_bytes * 7 // 8:
            size -= byte_length(self._events[surplus].data) + _EVENT_BYTES
            surplus += 1
        if surplus:
            self._complete_after = self._events[surplus - 1].position.key
            self._bytes = size
            for channel, count in Counter([event.channel for event in self._events[:surplus]]).items():
                del self._of_channel[channel][:count]
                if not self._of_channel[channel]:
                    del self._of_channel[channel]
            del self._events[:surplus]


def _key(event: Event) -> int:
    return event.position.key
