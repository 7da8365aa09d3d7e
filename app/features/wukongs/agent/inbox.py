"""Inbox: from the lines of a stream to commands, each of them once. Pure.

A reconnect resumes from the position of the last command that was *handled*, so a command that was read but not handled
arrives again. The inbox keeps the ids of the commands that were started, so that a repeated one does not run again. It keeps
them as long as the service takes a repeated key for the same command. After that time, the same id is a new command.
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
    """A command to carry out. Only its id is checked."""

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
        channel: The only channel whose commands count. Every listener also gets broadcasts, and a client that may
            broadcast must not command all agents that way.

    Attributes:
        position: Position from which a reconnect resumes; empty before the first connect.
    """

    def __init__(self, channel: str) -> None:
        self.position = ""
        self._channel = channel
        self._begun: OrderedDict[str, int] = OrderedDict()  # Unix ms at which the log stored it

    def read(self, line: bytes) -> Order | Gap | Goodbye | Connected | None:
        """Return the meaning of a line; None for a line without one.

        Raises:
            AwayError: The line is not from the service.
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
        """Note that a command was handled. It does not have to arrive again."""
        self.position = order.position

    def _notice(self, event: dict[str, Any], data: dict[str, Any]) -> Gap | Goodbye | Connected | None:
        """Read a notice. Its position becomes the inbox's, except that of ``gap`` and ``closed``."""
        reason = str(data.get("reason", ""))[:64]
        if event.get("type") == "gap":
            return Gap(reason)
        if event.get("type") == "closed":
            return Goodbye(reason)
        self.position = str(event.get("id", self.position))
        return Connected() if event.get("type") == "connected" else None

    def _begin(self, id: str, time_ms: int) -> bool:
        """Note that a command is started. Return False if it was started before."""
        if id in self._begun and time_ms - self._begun[id] < _SAME_MS:
            return False
        self._begun[id] = time_ms
        self._begun.move_to_end(id)
        if len(self._begun) > _MAX_IDS:
            self._begun.popitem(last=False)
        return True
