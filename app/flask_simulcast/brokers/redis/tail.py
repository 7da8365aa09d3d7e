"""Follow the log: one connection of a worker waits for new events, for all of its listeners.

Each group of events names the position before it. While that equals the reader's position, nothing lies between. If it
differs, the server has lost events or is another server; the numbers alone don't show that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from ...errors import BrokerUnavailableError
from ...event import Event, Position
from ..base import Batch
from .link import AnswerLostError, Link
from .rows import events_of, parts_of

_GROUPS = 64
_READ_EVENTS = 1024

Ask = Callable[[Position], Any]


class Tail:
    """Reads new events and waits for them, for one reader.

    Args:
        link: A connection of its own.
        name: Name of the stream.
        ask: Runs the read script for a position.
        seconds: Timeout of an answer. A blocking read waits half of it, so that it never looks like a dead server.
    """

    def __init__(self, link: Link, name: str, ask: Ask, seconds: float) -> None:
        self._link = link
        self._name = name
        self._ask = ask
        self._seconds = seconds / 2
        self._groups: deque[Any] = deque()
        self._last_id = "$"

    def read(self, after: Position) -> Batch:
        """Return the groups that `wait` received; if they don't follow the position, ask the log. Switches.

        Raises:
            BrokerUnavailableError: The log can't be read.
        """
        groups, self._groups = self._groups, deque()
        events = _following(groups, after)
        if events:
            self._groups = groups  # the rest, for the next call
            return Batch(events, passed=False, has_more=bool(groups))
        passed, found = self._ask(after)
        events = [event for group in found for event in events_of(group) if event.position.key > after.key]
        self._last_id = _id_of(events[-1].position if events else after)
        return Batch(events, bool(passed), has_more=bool(events))

    def wait(self, seconds: float) -> None:
        """Wait for new events, for up to ``seconds`` and at most half of the timeout. Switches.

        Raises:
            BrokerUnavailableError: The server does not answer.
        """
        if self._groups:
            return
        block = max(round(min(seconds, self._seconds) * 1000), 1)
        try:
            answer = self._link.call("XREAD", "COUNT", _GROUPS, "BLOCK", block, "STREAMS", self._name, self._last_id)
        except AnswerLostError as error:
            raise BrokerUnavailableError(f"Redis can't be read: {error}. Look at Redis if it goes on.") from error
        if answer:
            self._groups.extend(answer[0][1])
            self._last_id = self._groups[-1][0]

    def close(self) -> None:
        """Close the connection."""
        self._link.close()


def _following(groups: deque[Any], after: Position) -> list[Event]:
    """Take the groups that follow each other without a gap, a bounded number, and return their events."""
    events: list[Event] = []
    while groups and len(events) < _READ_EVENTS:
        last = events[-1].position if events else after
        if groups[0][1][0] != str(last):
            break
        events += events_of(groups.popleft())
    return events


def _id_of(position: Position) -> str:
    return "{}-{}".format(*parts_of(position.key))
