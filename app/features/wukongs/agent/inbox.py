"""Inbox: from the lines of a stream to commands, each of them once. Pure.

The position that a reconnect resumes from is that of the last command that was *handled*; so a command that was read but
not handled yet comes again. And the ids of those that were begun are kept, so that one which comes again is not run again:
for as long as the service takes a repeated key for the same command. After that, the same id is a new one.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from .errors import AwayError

_MAX_IDS = 1000
_SAME_MS = 300_000
_MAX_ID_CHARACTERS = 64
_COMMAND = "command"


@dataclass(frozen=True)
class Order:
    """A command to carry out, nothing of it checked but its id."""

    id: str
    command: object
    args: object
    position: str


@dataclass(frozen=True)
class Gap:
    """Commands may be missing."""

    reason: str


@dataclass(frozen=True)
class Goodbye:
    """The service ends the stream."""

    reason: str


class Connected:
    """The stream has begun."""


class Inbox:
    """Reads one agent's channel.

    Args:
        channel: Commands on it alone count. Every listener gets broadcasts, too, and a client that may broadcast must not
            command all agents by it.

    Attributes:
        position: Where a reconnect goes on; empty before the first connect.
    """

    def __init__(self, channel: str) -> None:
        self.position = ""
        self._channel = channel
        self._begun: OrderedDict[str, int] = OrderedDict()  # when the log took it, ms

    def read(self, line: bytes) -> Order | Gap | Goodbye | Connected | None:
        """What a line means; None for one that asks for nothing.

        Raises:
            AwayError: It is none of the service's.
        """
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict):
            raise AwayError("What answers is not the service: a line that is no JSON object.")
        data = event["data"] if isinstance(event.get("data"), dict) else {}
        if "channel" not in event:
            return self._notice(event, data)
        position = str(event.get("id", ""))
        if event["channel"] == self._channel and event.get("type") == _COMMAND:
            id, time_ms = data.get("id"), event.get("time")
            if not isinstance(time_ms, int):
                time_ms = 0
            if isinstance(id, str) and 1 <= len(id) <= _MAX_ID_CHARACTERS and self._begin(id, time_ms):
                return Order(id, data.get("command"), data.get("args", {}), position)
        self.position = position
        return None

    def handled(self, order: Order) -> None:
        """Note that it is done, so that it is not delivered again."""
        self.position = order.position

    def _notice(self, event: dict[str, Any], data: dict[str, Any]) -> Gap | Goodbye | Connected | None:
        """``gap`` and ``closed`` have no position of ours; those of all others are what we have."""
        reason = str(data.get("reason", ""))[:64]
        if event.get("type") == "gap":
            return Gap(reason)
        if event.get("type") == "closed":
            return Goodbye(reason)
        self.position = str(event.get("id", self.position))
        return Connected() if event.get("type") == "connected" else None

    def _begin(self, id: str, time_ms: int) -> bool:
        """Whether it was not begun before."""
        if id in self._begun and time_ms - self._begun[id] < _SAME_MS:
            return False
        self._begun[id] = time_ms
        self._begun.move_to_end(id)
        if len(self._begun) > _MAX_IDS:
            self._begun.popitem(last=False)
        return True
