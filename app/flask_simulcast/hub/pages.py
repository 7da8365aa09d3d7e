"""Pages: stretches of history for listeners that are catching up, from memory where it reaches back, else from the log.

Listeners of one audience share them, also those that begin at different places.
"""

from __future__ import annotations

import logging
from itertools import accumulate

import gevent

from ..brokers.base import Broker, Page
from ..event import LISTENER_PREFIX, Position
from ..listener import Listener
from ..metrics import Metrics
from .page_cache import PageCache, Written
from .ring import Ring
from .single_flight import SHARED, SHARED_SECONDS, SingleFlight

_log = logging.getLogger("flask_simulcast")


class Pages:
    """The pages of one worker.

    Args:
        broker: Reads history.
        ring: The last stretch of history, in memory.
        single_flight: Reads that listeners share.
        page_bytes: Bound of a page.
        metrics: Counts shared reads, and views that raise.
    """

    def __init__(
        self, broker: Broker, ring: Ring, single_flight: SingleFlight, page_bytes: int, metrics: Metrics
    ) -> None:
        self._broker = broker
        self._ring = ring
        self._single_flight = single_flight
        self._page_bytes = page_bytes
        self._metrics = metrics
        self._cache = PageCache(SHARED, SHARED_SECONDS)

    def next(self, listener: Listener, goal: Position) -> Written:
        """Return the next page of its audience's events, with those for the listener alone in between. Switches if the ring
        does not reach back.

        Raises:
            BrokerError: The log can't be read.
        """
        written = self._shared_page(listener, goal)
        return self._own_page(listener, goal) if self.has_personal(listener, written.covered_to) else written

    def has_personal(self, listener: Listener, up_to: Position, *, in_memory: bool = False) -> bool:
        """Tell whether an event for this listener alone is, or was, between its position and ``up_to``. Its own channel can't
        hold an event from before it started: its id is random, and was unknown.

        Args:
            in_memory: Do not switch. If the ring does not reach back, answer True.
        """
        position, own_after = listener.position, listener.own_after
        if position.key >= up_to.key:
            return False
        if own_after.key <= position.key:
            return self._has_any(listener.personal, position, up_to, in_memory)
        own, *of_user = listener.personal
        return (bool(of_user) and self._has_any(tuple(of_user), position, up_to, in_memory)) or (
            own_after.key < up_to.key and self._has_any((own,), own_after, up_to, in_memory)
        )

    def forget(self) -> None:
        """Drop all pages, because they may be of another log."""
        self._cache.clear()

    def _shared_page(self, listener: Listener, goal: Position) -> Written:
        """Return a page that is the same for all listeners with this audience key. A goal only moves forward, except at a
        scatter, which forgets these pages. So a page that was written for one listener is valid for later ones."""
        position, ring = listener.position, self._ring
        known = self._cache.find(listener.audience_key, position)
        if known is not None and (known.is_full or known.covered_to == goal):
            return self._shared(known)
        page = ring.page(listener.shared, position, goal, self._page_bytes)
        if page is not None:
            return self._kept(listener, page, goal)
        # Reuse a short page only if the ring covers the rest. Otherwise the log grows as fast as short pages catch up.
        if known is not None and ring.reaches(known.covered_to):
            return self._shared(known)
        key = ("page", listener.audience_key, position)
        return self._single_flight.fetch(key, lambda: self._read_shared(listener, goal))

    def _read_shared(self, listener: Listener, goal: Position) -> Written:
        known = self._cache.find(listener.audience_key, listener.position)
        if known is not None and known.is_full:
            return self._shared(known)  # another listener read it while this one waited for its turn
        stamp = self._single_flight.stamp
        page = self._broker.page(listener.shared, listener.position, goal, self._page_bytes)
        is_valid = stamp == self._single_flight.stamp
        return self._kept(listener, page, goal) if is_valid else self._written(listener, page, goal)

    def _shared(self, page: Written) -> Written:
        self._metrics.count("catchup_reads_shared_total")
        return page

    def _kept(self, listener: Listener, page: Page, goal: Position) -> Written:
        written = self._written(listener, page, goal)
        self._cache.put(listener.audience_key, listener.position, written)
        return written

    def _own_page(self, listener: Listener, goal: Position) -> Written:
        channels, position, page_bytes = listener.shared + listener.personal, listener.position, self._page_bytes
        page = self._ring.page(channels, position, goal, page_bytes)
        if page is None:
            page = self._single_flight.alone(lambda: self._broker.page(channels, position, goal, page_bytes))
        own = LISTENER_PREFIX + listener.id
        if own in page.marks and page.marks[own].key <= listener.own_after.key:
            del page.marks[own]
        return self._written(listener, page, goal)

    def _has_any(self, channels: tuple[str, ...], after: Position, up_to: Position, in_memory: bool) -> bool:
        page = self._ring.page(channels, after, up_to, 1)
        if page is None:
            if in_memory:
                return True
            key = ("any", channels, after, up_to)
            page = self._single_flight.fetch(key, lambda: self._broker.page(channels, after, up_to, 1))
        return bool(page.events or page.marks)

    def _written(self, listener: Listener, page: Page, goal: Position) -> Written:
        frames, keys = self._frames(listener, page)
        offsets = list(accumulate(map(len, frames), initial=0))
        offsets.pop()
        return Written(b"".join(frames), keys, offsets, page.covered_to, page.marks, page.covered_to != goal)

    def _frames(self, listener: Listener, page: Page) -> tuple[list[bytes], list[int]]:
        """Return the frames of a page, and the key of each."""
        encode, view = listener.encoding.event, listener.view
        if view is None:
            return [event.frame(encode) for event in page.events], [event.position.key for event in page.events]
        frames, keys = [], []
        for event in page.events:
            try:
                seen = view(event)
                if seen is not None:
                    frames.append(encode(seen))
                    keys.append(event.position.key)
            except Exception as error:
                # As when live, a view that raises costs one event. Another greenlet logs it: nothing may switch here.
                self._metrics.count("receiver_errors_total")
                gevent.spawn(_log.error, "A view could not take %s. Repair it.", event, exc_info=error)
        return frames, keys
