"""Audience: the listeners of this worker that want the same channels, in the same encoding, through the same view.

It is what a channel notifies: a handful of audiences, not thousands of connections. An event becomes
bytes once for all of them, and what is pending leaves as one chunk.
"""

from __future__ import annotations

from collections.abc import Callable

from .encoding import Encoding
from .event import Event, Position, View
from .listener import Listener


class Audience:
    """Members and the frames that wait for them.

    Args:
        channels: What its members listen to.
        encoding: How frames are made.
        view: Drops or narrows events, or None.
        position: What it has handed out so far: the hub's when it is made.
        on_pending: Called with the audience when its first frame waits.

    Attributes:
        members: Its listeners.
        pending: Frames that wait for the next pass.
    """

    __slots__ = ("_encode", "_handed_out", "_on_pending", "channels", "encoding", "members", "pending", "view")

    def __init__(
        self,
        channels: tuple[str, ...],
        encoding: Encoding,
        view: View | None,
        position: Position,
        on_pending: Callable[[Audience], None],
    ) -> None:
        self.channels = channels
        self.encoding = encoding
        self.view = view
        self.members: set[Listener] = set()
        self.pending: list[bytes] = []
        self._encode = encoding.event
        self._handed_out = position
        self._on_pending = on_pending

    def offer(self, event: Event) -> None:
        """Add an event's frame to what is pending. Receives a channel's signal."""
        if self.view is None:
            frame = event.frame(self._encode)
        else:
            seen = self.view(event)
            if seen is None:
                return
            frame = self._encode(seen)
        self.pending.append(frame)
        if len(self.pending) == 1:
            self._on_pending(self)

    def position(self, hub_position: Position) -> Position:
        """What its members have been handed. With nothing pending it is the hub's, so that a quiet audience keeps up."""
        return self._handed_out if self.pending else hub_position

    def take(self, hub_position: Position) -> tuple[list[Listener], bytes]:
        """Members and pending frames in one step: from here on the audience stands at the hub's position."""
        self._handed_out = hub_position
        frames, self.pending = self.pending, []
        return list(self.members), b"".join(frames) if len(frames) > 1 else frames[0]

    def stand_at(self, position: Position) -> None:
        """Remember what was handed out, as the first frame of the next pass becomes pending."""
        self._handed_out = position

    def scatter(self) -> list[Listener]:
        """Drop what is pending and let every member go, for a hub whose log has jumped."""
        members = list(self.members)
        self.members.clear()
        self.pending.clear()
        return members
