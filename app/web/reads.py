"""Reads: pages of history, and lists of who is there. One reader has so many bytes a second of a worker, over HTTP and every
WebSocket together: a page of 1 MiB costs a worker some 10 ms."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..extensions import simulcast
from ..flask_simulcast import History
from . import limits

T = TypeVar("T")

# What finding a page costs, whatever is on it: as much as so many bytes.
_PAGE_BYTES = 16 << 10
# Of a member or a listener, as JSON.
_ROW_BYTES = 256


def history(channel: str, *, after: str | None = None, limit: int) -> History:
    """A page of what a channel has kept, as `Simulcast.history` has it.

    Raises:
        ApiError: 429 ``read_rate``.
    """
    limits.check_read()
    page = simulcast.history(channel, after=after, limit=limit)
    limits.count_read(_PAGE_BYTES + sum(len(event.data) for event in page.events))
    return page


def of_rows(read: Callable[[], T], count: Callable[[T], int]) -> T:
    """A list of members or listeners.

    Args:
        read: Reads it.
        count: How many rows that was.

    Raises:
        ApiError: 429 ``read_rate``.
    """
    limits.check_read()
    found = read()
    limits.count_read(_PAGE_BYTES + _ROW_BYTES * count(found))
    return found
