"""Audience: the listeners of this worker that want the same channels, in the same encoding, through the same view.

A channel notifies audiences: a handful of objects, not thousands of connections. An event becomes bytes
once for the whole audience, and all pending frames leave as one chunk. An event for one member alone waits
beside them, with its place in the order; only that member gets a chunk of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import NamedTuple

from .encoding import Encoding
from .event import Event, Position, View
from .listener import Listener

_LINE = attrgetter("line")


class Handout(NamedTuple):
    """What one pass hands out.

    Attributes:
        members: Members that get the shared chunk. Those of one connection come one after another, so that they share a write.
        chunk: All pending frames, joined.
        events: Number of frames in the chunk.
        own: ``(member, chunk, events)`` of each member that gets a chunk of its own.
    """

    members: list[Listener]
    chunk: bytes
    events: int
    own: list[tuple[Listener, bytes, int]]


class Audience:
    """Members and the frames that wait for them.

    Args:
        channels: Channels that the members listen to.
        encoding: Encoding of the frames.
        view: Drops or narrows events, or None.
        position: Position that was handed out so far: the hub's, when the audience is made.
        on_pending: Called with the audience when its first frame waits.

    Attributes:
        members: Its listeners.
        pending: Frames that wait for the next pass.
    """

    __slots__ = (
        "_encode", "_handed_out", "_oldest", "_on_pending", "_personal", "channels", "encoding", "members", "pending", "view",
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
        self.members: dict[Listener, None] = {}
        self.pending: list[bytes] = []
        self._oldest = position  # of the first event that is pending
        # For each listener, a list of ``(number of shared frames before it, frame)``.
        self._personal: dict[Listener, list[tuple[int, bytes]]] = {}
        self._encode = encoding.event
        self._handed_out = position
        self._on_pending = on_pending

    @property
    def oldest_ms(self) -> int:
        """Unix time in ms at which the log stored the first event that is pending."""
        return self._oldest.milliseconds

    @property
    def is_pending(self) -> bool:
        """Whether a frame waits for the next pass."""
        return bool(self.pending or self._personal)

    def offer(self, event: Event) -> None:
        """Add an event's frame to the pending frames. The receiver of a channel's signal."""
        if self.view is None:
            frame = event.frame(self._encode)
        else:
            seen = self.view(event)
            if seen is None:
                return
            frame = seen.frame(self._encode)  # shared with other audiences if the view returns the event itself
        if not self.pending and not self._personal:
            self._oldest = (
                event.position
            )  # not a function: an event may be for ten thousand audiences, in one turn of the loop
            self._on_pending(self)
        self.pending.append(frame)

    def offer_to(self, listener: Listener, event: Event) -> None:
        """Add an event for one member alone."""
        seen = event if self.view is None else self.view(event)
        if seen is None:
            return
        was_pending = self.is_pending
        self._personal.setdefault(listener, []).append((len(self.pending), self._encode(seen)))
        if not was_pending:
            self._oldest = event.position
            self._on_pending(self)

    def position(self, hub_position: Position) -> Position:
        """Return the position up to which the members were handed events. With nothing pending it is the hub's, so a quiet
        audience keeps up."""
        return self._handed_out if self.is_pending else hub_position

    def take(self, hub_position: Position) -> Handout:
        """Take the members and the pending frames in one step. From here on the audience stands at the hub's position."""
        self._handed_out = hub_position
        frames, self.pending = self.pending, []
        personal, self._personal = self._personal, {}
        members = sorted(self.members, key=_LINE) if frames else []
        own = []
        if personal:
            members = [member for member in members if member not in personal]
            own = [(one, *_interleaved(frames, its)) for one, its in personal.items() if one in self.members]
        return Handout(members, b"".join(frames) if len(frames) != 1 else frames[0], len(frames), own)

    def stand_at(self, position: Position) -> None:
        """Set the position that was handed out. Called when the first frame of the next pass becomes pending."""
        self._handed_out = position

    def scatter(self) -> list[Listener]:
        """Remove all members and pending frames, and return the members. For a hub whose log has jumped."""
        members = list(self.members)
        self.members.clear()
        self.drop_pending()
        return members

    def drop_pending(self) -> None:
        """Drop all pending frames: no member is left to receive them."""
        self.pending.clear()
        self._personal.clear()


def _interleaved(frames: list[bytes], own: list[tuple[int, bytes]]) -> tuple[bytes, int]:
    """Join the shared frames and one member's own in the order of the log. Return the chunk and its number of frames."""
    together: list[bytes] = []
    start = 0
    for place, frame in own:
        together += frames[start:place]
        together.append(frame)
        start = place
    together += frames[start:]
    return b"".join(together), len(together)
