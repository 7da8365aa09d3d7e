"""Turn the answers of scripts into positions and events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...event import COUNTER_BITS, Event, Position
from ..base import common_mark_of

_COUNTER_MASK = (1 << COUNTER_BITS) - 1


def key_of(id: str) -> int:
    """Return the key of a position, from the id of a stream's entry: ``ms-counter``."""
    milliseconds, _, counter = id.partition("-")
    return int(milliseconds) << COUNTER_BITS | int(counter)


def position_of(text: str) -> Position:
    """Parse a position from ``ms-counter-tag``."""
    id, _, tag = text.rpartition("-")
    return Position(key_of(id), int(tag, 16))


def parts_of(key: int) -> tuple[int, int]:
    """Split a key into milliseconds and counter."""
    return key >> COUNTER_BITS, key & _COUNTER_MASK


def events_of(group: Sequence[Any]) -> list[Event]:
    """Return the events of one entry of the tail."""
    id, fields = group
    key, tag = key_of(id), int(fields[1], 16)
    events = []
    for name, data in zip(fields[2::2], fields[3::2], strict=True):
        channel, _, type = name.partition("\n")
        events.append(Event(Position(key, tag), channel, type, data))
        key += 1
    return events


def marks_of(channels: Sequence[str], marks: Sequence[str | None], commons: Sequence[str]) -> dict[str, Position]:
    """Return the mark that counts for each channel: its own, or a common one.

    Args:
        marks: The mark of each channel, in the order of ``channels``.
        commons: The common marks ``forgotten`` and ``forgotten_personal``.
    """
    common = {"forgotten": position_of(commons[0]), "forgotten_personal": position_of(commons[1])}
    found = {}
    for channel, mark in zip(channels, marks, strict=True):
        name = common_mark_of(channel)
        if mark:
            found[channel] = position_of(mark)
        elif name is not None:
            found[channel] = common[name]
    return found


def after(marks: dict[str, Position], key: int) -> dict[str, Position]:
    """Return the marks that lie after a key."""
    return {channel: mark for channel, mark in marks.items() if mark.key > key}
