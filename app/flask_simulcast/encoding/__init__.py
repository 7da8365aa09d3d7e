"""Encode events as bytes. Pure functions: no clock, no I/O; the same input gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from ..event import Event


@dataclass(frozen=True, eq=False)
class Encoding:
    """One way to write events as bytes. Compared by identity, so that it is a cheap dictionary key.

    Attributes:
        name: Short name, for metrics and logs.
        content_type: Content type of a response in this encoding.
        event: Turns an event into its frame.
        notice: Turns ``(type, data, id)`` into the frame of a message from the hub itself. ``data`` is JSON text;
            an empty id is left out.
        comment: Returns bytes that keep a connection alive and that no client sees as an event.
        retry: Turns the milliseconds to wait before a reconnect into bytes that go right before a frame. Empty if the
            encoding has no field for it.
        for_several: The encoding for streams of several channels, if this one leaves out the name of a single channel.
    """

    name: str
    content_type: str
    event: Callable[[Event], bytes]
    notice: Callable[[str, str, str], bytes]
    comment: Callable[[], bytes]
    retry: Callable[[int], bytes]
    for_several: Encoding | None = None

    def of(self, channels: Collection[str]) -> Encoding:
        """Return the encoding for a stream of these channels."""
        return self.for_several if self.for_several is not None and len(channels) > 1 else self
