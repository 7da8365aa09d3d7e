"""PageCache: pages of history in the encoding of an audience, for other listeners that are about to need them.

A page also serves a listener that stands in the middle of it, by its last frames. So clients that lost touch at different
moments read the log once: 200 µs each instead of 3 ms.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

from ..event import Position


class Written(NamedTuple):
    """A page in one encoding.

    Attributes:
        chunk: Its frames, joined.
        keys: The key of each event's position.
        offsets: Where the frame of each event begins.
        covered_to: The end of the stretch of history that it holds.
        marks: The mark of each channel that was trimmed after its beginning.
        is_full: Whether the page was cut at its bound. Then it is the same for every later goal.
    """

    chunk: bytes
    keys: list[int]
    offsets: list[int]
    covered_to: Position
    marks: dict[str, Position]
    is_full: bool

    def after(self, position: Position) -> Written:
        """Return what the page has after a position in it."""
        first = bisect_right(self.keys, position.key)
        offset = self.offsets[first] if first < len(self.keys) else len(self.chunk)
        return Written(
            self.chunk[offset:],
            self.keys[first:],
            [start - offset for start in self.offsets[first:]],
            self.covered_to,
            {channel: mark for channel, mark in self.marks.items() if mark.key > position.key},
            self.is_full,
        )


class PageCache:
    """A cache that is bounded by count and age. The oldest pages are dropped first.

    Args:
        places: Maximum number of pages.
        seconds: Maximum age of a page.
    """

    def __init__(self, places: int, seconds: float) -> None:
        self._places = places
        self._seconds = seconds
        # For each audience its pages, in the order of the keys at which they begin.
        self._of_audience: dict[Hashable, list[tuple[int, Written]]] = {}
        # The end of each page's time, the oldest first; by its audience and the key at which it begins.
        self._ends: OrderedDict[tuple[Hashable, int], float] = OrderedDict()

    def find(self, audience: Hashable, position: Position) -> Written | None:
        """Return what this audience's pages have from a position on; None if that position is in none of them."""
        self._drop_old()
        pages = self._of_audience.get(audience, ())
        place = bisect_right(pages, position.key, key=_start)
        if not place:
            return None
        start, page = pages[place - 1]
        if start == position.key:
            return page
        return page.after(position) if position.key < page.covered_to.key else None

    def put(self, audience: Hashable, position: Position, page: Written) -> None:
        """Store the page after a position; it replaces an earlier one that begins there."""
        self._remove(audience, position.key)
        pages = self._of_audience.setdefault(audience, [])
        pages.insert(bisect_left(pages, position.key, key=_start), (position.key, page))
        self._ends[audience, position.key] = time.monotonic() + self._seconds
        self._drop_old()

    def clear(self) -> None:
        """Drop all pages."""
        self._of_audience.clear()
        self._ends.clear()

    def _drop_old(self) -> None:
        now = time.monotonic()
        while self._ends:
            (audience, start), end = next(iter(self._ends.items()))
            if end > now and len(self._ends) <= self._places:
                break
            self._remove(audience, start)

    def _remove(self, audience: Hashable, start: int) -> None:
        if self._ends.pop((audience, start), None) is None:
            return
        pages = self._of_audience[audience]
        del pages[bisect_left(pages, start, key=_start)]
        if not pages:
            del self._of_audience[audience]


def _start(entry: tuple[int, Written]) -> int:
    return entry[0]
