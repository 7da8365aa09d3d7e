"""Inbox: from the events of a stream to commands, each of them once. Pure.

The stream resumes after the last event that the agent has taken. If the log was restored from a copy, it may send older events
again. So the inbox keeps the ids of the commands that were begun. It keeps them as long as the service takes a repeated key for
the same command. After that time, the same id is a new command.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from ....flask_simulcast.client import ReceivedEvent

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


class Inbox:
    """Reads one agent's channel.

    Args:
        channel: The only channel whose commands count. Every listener also gets broadcasts, and a client that may
            broadcast must not command all agents that way.
    """

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._begun: OrderedDict[str, int] = OrderedDict()  # Unix ms at which the log stored it

    def read(self, event: ReceivedEvent) -> Order | None:
        """Return the command that an event is; None if it is none, or was begun before."""
        data = event.data
        if event.channel != self._channel or event.type != _COMMAND or not isinstance(data, dict):
            return None
        id = data.get("id")
        if not isinstance(id, str) or not 1 <= len(id) <= _MAX_ID_CHARACTERS or not self._begin(id, event.time_ms or 0):
            return None
        return Order(id, data.get("command"), data.get("args", {}))

    def _begin(self, id: str, time_ms: int) -> bool:
        """Note that a command is started. Return False if it was started before."""
        if id in self._begun and time_ms - self._begun[id] < _SAME_MS:
            return False
        self._begun[id] = time_ms
        self._begun.move_to_end(id)
        if len(self._begun) > _MAX_IDS:
            self._begun.popitem(last=False)
        return True
