"""Audience: the listeners of this worker that want the same channels, in the same encoding, through the same view.

It is what a channel notifies: a handful of audiences, not thousands of connections. An event becomes
bytes once for all of them, and what is pending leaves as one chunk. What is for one member alone waits beside
it, with its place in the order; only that member gets a chunk of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .encoding import Encoding
from .event import Event, Position, View
from .listener import Listener


class Handout(NamedTuple):
    """What one pass hands out.

    Attributes:
        members: Those who get the shared chunk.
        chunk: Of all pending frames.
        events: How many frames that is.
        own: ``(member, chunk, events)`` of those who get something besides.
    """

    members: list[Listener]
    chunk: bytes
    events: int
    own: list[tuple[Listener, bytes, int]]


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
        oldest_ms: When the log got the first of them, in Unix ms.
    """

    __slots__ = (
        "_encode", "_handed_out", "_on_pending", "_personal", "channels", "encoding", "members", "oldest_ms", "pending",
        "view",
    )  # fmt: skip

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
        self.oldest_ms = 0
        # For each listener, ``(how many shared frames go before it, frame)``.
        self._personal: dict[Listener, list[tuple[int, bytes]]] = {}
        self._encode = encoding.event
        self._handed_out = position
        self._on_pending = on_pending

    @property
    def is_pending(self) -> bool:
        """Whether something waits for the next pass."""
        return bool(self.pending or self._personal)

    def offer(self, event: Event) -> None:
        """Add an event's frame to what is pending. Receives a channel's signal."""
        if self.view is None:
            frame = event.frame(self._encode)
        else:
            seen = self.view(event)
            if seen is None:
                return
            frame = seen.frame(self._encode)  # a view that leaves it as it is shares what others have made
        was_pending = self.is_pending
        self.pending.append(frame)
        if not was_pending:
            self._begins(event)

    def offer_to(self, listener: Listener, event: Event) -> None:
        """Add an event that is for one of its members alone."""
        seen = event if self.view is None else self.view(event)
        if seen is None:
            return
        was_pending = self.is_pending
        self._personal.setdefault(listener, []).append((len(self.pending), self._encode(seen)))
        if not was_pending:
            self._begins(event)

    def _begins(self, event: Event) -> None:
        self.oldest_ms = event.time_ms
        self._on_pending(self)

    def position(self, hub_position: Position) -> Position:
        """What its members have been handed. With nothing pending it is the hub's, so that a quiet audience keeps up."""
        return self._handed_out if self.is_pending else hub_position

    def take(self, hub_position: Position) -> Handout:
        """Members and pending frames in one step: from here on the audience stands at the hub's position."""
        self._handed_out = hub_position
        frames, self.pending = self.pending, []
        personal, self._personal = self._personal, {}
        members = list(self.members) if frames else []
        own = []
        if personal:
            members = [member for member in members if member not in personal]
            own = [(one, *_interleaved(frames, its)) for one, its in personal.items() if one in self.members]
        return Handout(members, b"".join(frames) if len(frames) != 1 else frames[0], len(frames), own)

    def stand_at(self, position: Position) -> None:
        """Remember what was handed out, as the first frame of the next pass becomes pending."""
        self._handed_out = position

    def scatter(self) -> list[Listener]:
        """Drop what is pending and let every member go, for a hub whose log has jumped."""
        members = list(self.members)
        self.members.clear()
        self.drop_pending()
        return members

    def drop_pending(self) -> None:
        """Nobody is left to have it."""
        self.pending.clear()
        self._personal.clear()


def _interleaved(frames: list[bytes], own: list[tuple[int, bytes]]) -> tuple[bytes, int]:
    """The shared frames with one's own between them, in the order of the log, as one chunk; and how many frames that is."""
    together: list[bytes] = []
    start = 0
    for place, frame in own:
        together += frames[start:place]
        together.append(frame)
        start = place
    together += frames[start:]
    return b"".join(together), len(together)
