"""Events as bytes. Pure functions: no clock, no I/O, same input, same bytes."""

from __future__ import annotations

from collections.abc import Callable
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
    """

    name: str
    content_type: str
    event: Callable[[Event], bytes]
    notice: Callable[[str, str, str], bytes]
    comment: Callable[[], bytes]
    retry: Callable[[int], bytes]
