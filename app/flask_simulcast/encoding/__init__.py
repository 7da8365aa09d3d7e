"""Events as bytes. Pure functions: no clock, no I/O, same input, same bytes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from ..event import Event


@dataclass(frozen=True, eq=False)
class Encoding:
    """One way to write events as bytes. Compared by identity, so that it is a cheap dictionary key.

    Attributes:
        name: Short, for metrics and logs.
        content_type: Of a response in this encoding.
        event: An event to its frame.
        notice: ``(type, data, id)`` to the frame of something the hub itself says. ``data`` is JSON text;
            an empty id is left out.
        comment: Bytes that keep a connection alive and that no client sees as an event.
        retry: Milliseconds to wait before reconnecting, as bytes that go right before a frame; nothing where
            the encoding can't say so.
        for_several: What a stream of several channels is written in, where one of a single channel leaves its name out.
    """

    name: str
    content_type: str
    event: Callable[[Event], bytes]
    notice: Callable[[str, str, str], bytes]
    comment: Callable[[], bytes]
    retry: Callable[[int], bytes]
    for_several: Encoding | None = None

    def of(self, channels: Collection[str]) -> Encoding:
        """What a stream of these channels is written in."""
        return self.for_several if self.for_several is not None and len(channels) > 1 else self
