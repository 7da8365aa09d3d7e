"""Reads: pages of history, and lists of members and listeners. Each reader has a limit of bytes a second in a worker, for HTTP
and all its WebSockets together: a page of 1 MiB costs a worker about 10 ms."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..extensions import simulcast
from ..flask_simulcast import History
from . import limits

T = TypeVar("T")

# Cost of finding a page, whatever is on it.
_PAGE_BYTES = 16 << 10
# Size of a member or a listener as JSON.
_ROW_BYTES = 256


def history(channel: str, *, after: str | None = None, limit: int) -> History:
    """Read a page of a channel's history, as `Simulcast.history` returns it.

    Raises:
        ApiError: 429 ``read_rate``.
    """
    limits.check_read()
    page = simulcast.history(channel, after=after, limit=limit)
    limits.count_read(_PAGE_BYTES + sum(len(event.data) for event in page.events))
    return page


def of_rows(read: Callable[[], T], count: Callable[[T], int]) -> T:
    """Read a list of members or listeners.

    Args:
        read: Reads the list.
        count: Returns the number of its rows.

    Raises:
        ApiError: 429 ``read_rate``.
    """
    limits.check_read()
    found = read()
    limits.count_read(_PAGE_BYTES + _ROW_BYTES * count(found))
    return found
