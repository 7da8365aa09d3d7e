"""Follower: reads some channels from a position on: from history first, then as the log grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..brokers.base import Broker
from ..event import Event, Position

_PAGE_BYTES = 64 << 10

Gap = dict[str, Any]
"""What a listener is told when events are missing: ``reason``, ``channels``, ``from``, ``to``."""


class Follower:
    """Reads what a listener on these channels would get, without a place in the register.

    Args:
        broker: The log.
        channels: Names of channels.
        position: Position after which it begins.

    Attributes:
        is_at_head: Whether the last `read` found nothing more in the log.
    """

    def __init__(self, broker: Broker, channels: Sequence[str], position: Position) -> None:
        self._broker = broker
        self._channels = channels
        self._generation = broker.generation
        self._position = position
        self._told_to = position
        self._is_behind = True
        self.is_at_head = False

    def read(self) -> list[Event | Gap]:
        """Return the next events of these channels, a bounded number, and each gap before the events that follow it.

        Raises:
            BrokerUnavailableError: The log can't be read. Call it again: it goes on where it was.
        """
        if self._is_behind or self._broker.generation != self._generation:
            return self._read_history()
        events, passed, _ = self._broker.read(self._position)
        self._is_behind = passed
        self.is_at_head = not events and not passed
        if passed or not events:
            return []
        self._position = events[-1].position
        return [event for event in events if event.channel in self._channels]

    def wait(self, seconds: float) -> None:
        """Return when the log may have grown, or after ``seconds``."""
        self._broker.wait(seconds)

    def _read_history(self) -> list[Event | Gap]:
        generation = self._broker.generation
        found: list[Event | Gap] = []
        verdict = self._broker.verdict(self._position, self._channels)
        if verdict.reason not in (None, "trimmed"):  # the page tells what was trimmed
            found.append(self._gap(verdict.reason, verdict.channels, verdict.to))
            self._position = verdict.resume_at
        head = self._broker.head()
        page = self._broker.page(self._channels, self._position, head, _PAGE_BYTES)
        to = max(page.marks.values(), default=self._told_to)
        if to.key > self._told_to.key:
            found.append(self._gap("trimmed", sorted(page.marks), to))
        self._position = page.covered_to
        self._is_behind, self._generation = page.covered_to.key < head.key, generation
        return [*found, *page.events]

    def _gap(self, reason: str | None, channels: Sequence[str], to: Position) -> Gap:
        self._told_to = to
        return {"reason": reason, "channels": list(channels), "from": str(self._position), "to": str(to)}
