"""How a worker follows the log: one connection that waits for what comes next, for all of its listeners.

Each group of events names the position before it. As long as that is where the reader stands, nothing lies between. Where it
is not, the server has lost something, or is another one now: that can't be seen from the numbers alone.
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
    """Reads on, and waits, for one reader.

    Args:
        link: Its own.
        name: Of the stream.
        ask: Runs the read script for a position.
        seconds: How long an answer may take. What waits for events waits half as long, or it would seem to be dead.
    """

    def __init__(self, link: Link, name: str, ask: Ask, seconds: float) -> None:
        self._link = link
        self._name = name
        self._ask = ask
        self._seconds = seconds / 2
        self._groups: deque[Any] = deque()
        self._last_id = "$"

    def read(self, after: Position) -> Batch:
        """What has come in meanwhile; where that does not follow, what the log says. Switches.

        Raises:
            BrokerUnavailableError: It can't be read.
        """
        groups, self._groups = self._groups, deque()
        events = _following(groups, after)
        if events:
            self._groups = groups  # those for the next time
            return Batch(events, passed=False)
        passed, found = self._ask(after)
        events = [event for group in found for event in events_of(group) if event.position.key > after.key]
        self._last_id = _id_of(events[-1].position if events else after)
        return Batch(events, bool(passed))

    def wait(self, seconds: float) -> None:
        """Until something comes, but no longer than half of what an answer may take. Switches.

        Raises:
            BrokerUnavailableError: There is nobody to wait for.
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
        """Hang up."""
        self._link.close()


def _following(groups: deque[Any], after: Position) -> list[Event]:
    """The events of these groups, as far as one follows the other; a bounded number of them, and those groups are gone."""
    events: list[Event] = []
    while groups and len(events) < _READ_EVENTS:
        last = events[-1].position if events else after
        if groups[0][1][0] != str(last):
            break
        events += events_of(groups.popleft())
    return events


def _id_of(position: Position) -> str:
    return "{}-{}".format(*parts_of(position.key))
