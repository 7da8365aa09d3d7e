"""Listener: one connection's place on one or more channels.

It is either **live** or **catching up**. While it is live, its audience hands it chunks, which wait in a gevent
queue that is bounded in bytes. When the queue is full, the listener drops it and is catching up: its own greenlet
reads history from the last position that it yielded. First connect with replay, reconnect, and slow reader are one
mechanism. The memory of a slow client is constant, and no event is lost while history has it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from secrets import token_hex
from typing import Protocol

from .chunk_queue import ChunkQueue
from .close_reason import CloseReason
from .event import ALL, LISTENER_PREFIX, RUN_PREFIX, USER_PREFIX, Position
from .listen_request import ListenRequest
from .presence import Place

_ID = re.compile("[0-9a-f]{16}", re.ASCII)
# A queue takes five times the memory of the listener. All parked listeners share this one, and put nothing into it.
_NO_QUEUE = ChunkQueue(0)
_BEFORE_ALL = Position(0, 0)


def is_listener_id(text: str) -> bool:
    """Tell whether a text can be the id of a listener."""
    return _ID.fullmatch(text) is not None


class Sender(Protocol):
    """What sends for a parked listener. Nothing here switches."""

    def send_straight(self, chunk: bytes) -> bool:
        """Send a chunk at once. Return False if it can't."""

    def woken(self) -> None:
        """Have a greenlet take chunks again: the listener is catching up, or closed, or has a chunk that goes no straight way."""


class Listener:
    """One connection's place on its channels.

    Args:
        request: The client's request. It is copied, and not kept.
        on_cut: Called once, outside the connection's greenlet, if the connection must be broken: the client takes no bytes.

    Attributes (besides those of the request):
        id: Random id of 16 hex digits.
        expires_at: Monotonic seconds at which its grant ends, or None.
        came_at: Monotonic seconds at which it was made.
        since_ms: Unix time in ms at which it was made.
        events: Number of events that it was handed.
        bytes: Size of all its chunks.
        position: Position of the last chunk that was yielded, which the client has or is being sent.
        is_live: Whether it is live; else it is catching up. There is no third state.
        close_reason: Why it was closed; None while it is open.
        is_writing: Whether a chunk of it is on its way to the socket; else it waits for something to send.
        since: Monotonic seconds at which it began to write, or to wait.
        line: Number of the connection that carries its bytes and those of other listeners, while it is parked; 0 for its own.
        needs_verdict: Whether to ask the broker if history covers its position, before it reads on.
        own_after: Position before which its own channel has no event, because no client knew its id.
        is_known: Whether the hub has added it and reports it to others.
        unread_since: Monotonic seconds since which the log can't be read for it; None if the last read succeeded.
        has_prelude: Whether a snapshot follows its ``connected``.
        end: Position of the last event of its run, once that is known; None for a listener that has no end.
        reported: For each channel, the mark of the last trimming that a gap has reported.
    """

    __slots__ = (
        "_joined_key", "_on_cut", "_queue", "_queue_bytes", "_sender", "_taker", "address", "bytes", "came_at",
        "channels", "close_reason", "deadline", "encoding", "end", "events", "expires_at", "grant", "has_prelude", "heartbeat_as_comment",
        "id", "is_known", "is_live", "is_writing", "line", "member", "meta", "needs_verdict", "own_after", "position", "present_on",
        "reported", "resume", "since", "since_ms", "start", "unread_since", "view",
    )  # fmt: skip

    def __init__(self, request: ListenRequest, *, on_cut: Callable[[], object] | None = None) -> None:
        self.id = token_hex(8)
        self.channels = request.channels
        self.encoding = request.encoding
        self.resume = request.resume
        self.start = request.start
        self.view = request.view
        self.has_prelude = bool(request.prelude)
        self.grant = grant = request.grant
        self.member = request.member
        self.present_on = request.present_on
        self.meta = request.meta
        self.address = request.address
        self.deadline = request.deadline
        self.heartbeat_as_comment = request.heartbeat_as_comment
        self.position = self.own_after = _BEFORE_ALL
        self.is_known = False
        self.is_live = False
        self.needs_verdict = False
        self.reported: dict[str, int] | None = None
        self.unread_since: float | None = None
        self.close_reason: CloseReason | None = None
        self.is_writing = False
        self.line = 0
        self.end: Position | None = None
        self.since = self.came_at = time.monotonic()
        self.since_ms = time.time_ns() // 1_000_000
        self.expires_at = None if grant.expires_at is None else self.came_at + grant.expires_at - self.since_ms / 1000
        self.events = 0
        self.bytes = 0
        self._on_cut = on_cut
        self._queue_bytes = request.queue_bytes
        self._queue = ChunkQueue(request.queue_bytes)
        self._joined_key = 0
        self._sender: Sender | None = None
        self._taker: Sender | None = None

    @property
    def run(self) -> str:
        """Id of its run, if it listens to a run alone; else empty. Its stream ends with the run."""
        name = self.channels[0] if len(self.channels) == 1 else ""
        return name.removeprefix(RUN_PREFIX) if name.startswith(RUN_PREFIX) else ""

    @property
    def is_at_end(self) -> bool:
        """Whether it has the last event of its run."""
        return self.end is not None and self.position.key >= self.end.key

    @property
    def audience_key(self) -> tuple[object, ...]:
        """The key of its audience. Listeners with the same key get the same bytes."""
        return (self.channels, self.encoding, self.view)

    @property
    def shared(self) -> tuple[str, ...]:
        """The channels of its audience: its own channels, and ``all``."""
        return self.channels if ALL in self.channels else (*self.channels, ALL)

    @property
    def personal(self) -> tuple[str, ...]:
        """The channels for it alone. Not part of its audience's key, or each listener would be a separate audience."""
        user = USER_PREFIX + self.grant.user
        if not self.grant.user or user in self.channels:
            return (LISTENER_PREFIX + self.id,)
        return (LISTENER_PREFIX + self.id, user)

    def place(self) -> Place:
        """Return its place in the register."""
        return Place(
            listener=self.id,
            user=self.grant.user,
            member=self.member,
            channels=self.channels,
            present_on=self.present_on,
            meta=self.meta,
            token_id=self.grant.token_id,
            encoding=self.encoding.name,
            since_ms=self.since_ms,
        )

    def waits(self) -> None:
        """Note that it has written its chunk, and waits for more."""
        self.is_writing = False
        self.since = time.monotonic()

    def writes(self, chunk: bytes) -> None:
        """Count a chunk that it hands to the server. It is writing until the server asks for the next one."""
        self.bytes += len(chunk)
        self.is_writing = True
        self.since = time.monotonic()

    @property
    def is_idle(self) -> bool:
        """Whether it is live, has nothing to take, and waits for more."""
        return self.is_live and self._queue.is_empty and not self.is_at_end

    def park(
        self,
        sender: Sender,
        *,
        on_cut: Callable[[], object] | None = None,
        line: int = 0,
        is_straight: bool = True,
    ) -> bool:
        """Let an idle listener live without a greenlet, which takes ten times the memory of the listener itself.

        Args:
            sender: Sends its chunks. One object, because each bound method takes a fifth of the listener's own memory.
            on_cut: Breaks the connection from now on, if its owner has changed.
            line: Number of the connection if other listeners share it.
            is_straight: False for a sender that is only woken, for each chunk, which it then takes in a greenlet.

        Returns:
            False if it has something to do now.
        """
        if not self.is_idle:
            return False
        self._sender, self._taker = (sender, None) if is_straight else (None, sender)
        self._queue = _NO_QUEUE
        self._on_cut = on_cut or self._on_cut
        self.line = line
        self.waits()
        return True

    @property
    def is_parked(self) -> bool:
        """Whether it lives without a greenlet now."""
        return self._sender is not None or self._taker is not None

    def begins(self, hub_position: Position) -> None:
        """Reset it before its start is chosen. Earlier gaps in the log do not affect a listener that has not started.

        Args:
            hub_position: Position of the hub. Its own channel has no event before it, because no client knows its id yet.
        """
        self.needs_verdict = False
        self.own_after = hub_position

    def moved_to(self, position: Position, events: int = 0) -> None:
        """Note that it was handed a page of history up to this position, with this number of events."""
        self.position = position
        self.events += events

    def was_judged(self, resume_at: Position) -> None:
        """Note the broker's verdict on its position. It reads on from ``resume_at``."""
        self.needs_verdict = False
        self.position = resume_at

    def learn_of_trimming(self, channels: Iterable[str], mark: int) -> bool:
        """Note that a gap reports the trimming of these channels up to this mark.

        Returns:
            False if an earlier gap has reported it already.
        """
        told = self.reported = self.reported or {}
        if all(told.get(channel, 0) >= mark for channel in channels):
            return False
        told.update(dict.fromkeys(channels, mark))
        return True

    def became_known(self) -> None:
        """Note that the hub has added it and reports it to others."""
        self.is_known = True

    def has_read(self) -> None:
        """Note that the log could be read for it."""
        self.unread_since = None

    def could_not_read(self) -> float:
        """Note that the log could not be read for it. Return the seconds since the first failure in a row."""
        now = time.monotonic()
        if self.unread_since is None:
            self.unread_since = now
        return now - self.unread_since

    def go_live(self, position: Position, channels: tuple[str, ...] | None = None) -> None:
        """Make it live at ``position``. From now on it takes deliveries after that position.

        Args:
            channels: Its own, as its audience has them: then all members share one tuple.
        """
        self.channels = channels or self.channels
        self.is_live = True
        self.position = position
        self._joined_key = position.key

    def fall_behind(self, *, needs_verdict: bool = False) -> None:
        """Drop the queue, and catch up from the last position that was yielded.

        Args:
            needs_verdict: Whether to ask the broker again if history still covers that position.
        """
        self.is_live = False
        if needs_verdict:
            self.needs_verdict = True
            self.own_after = _BEFORE_ALL  # in another log, positions may start lower again
        self._queue.clear()
        self._wake()

    def deliver(self, chunk: bytes, position: Position, events: int = 1) -> bool:
        """Queue a chunk with ``events`` events, which takes a live listener up to ``position``. Never blocks, never switches.

        A pass that was running when the listener joined hands out events that it has already read from history.
        The position of such a chunk is not after the one at which the listener joined, and the chunk is skipped.

        Returns:
            False if the queue was full: the listener is catching up now.
        """
        if not self.is_live or position.key <= self._joined_key:
            return True
        if self._sender is not None:
            return self._goes_straight(self._sender, chunk, position, events)
        if not self._enqueue(chunk, position, events):
            self.fall_behind()
            return False
        return True

    def deliver_heartbeat(self, frame: bytes, position: Position) -> None:
        """Send a quiet listener the current position. Only with an empty queue: a position must never be ahead of what the
        listener was handed."""
        if self.is_live and self._sender is not None:
            self._goes_straight(self._sender, frame, position, 0)
        elif self.is_live and self._queue.is_empty and not self.is_writing:
            self._enqueue(frame, position, 0)

    def take(self, limit: int) -> bytes:
        """Wait for queued chunks, and take them as one of up to ``limit`` bytes. Switches.

        Returns:
            The chunk; empty if the listener was woken for another reason: it is no longer live, or it is closed.
        """
        chunk, position, events = self._queue.take(limit)
        if position is None:
            return b""
        self.events += events
        self.position = position
        return chunk

    def rest(self, seconds: float) -> None:
        """Wait for ``seconds`` while catching up, or until it is closed or sent back for a verdict. Switches."""
        self._queue.rest(seconds)

    def close(self, reason: CloseReason) -> bool:
        """Close it. Queued chunks are dropped, and the first reason stays.

        Returns:
            False if it was closed already.
        """
        if self.close_reason is not None:
            return False
        self.close_reason = reason
        self.is_live = False
        self._queue.clear()
        self._wake()
        return True

    def ends_at(self, position: Position) -> None:
        """Note the position of the last event of its run: once it is there, its owner closes it."""
        self.end = position
        if self.is_at_end:
            self._wake()

    def cut(self) -> None:
        """Break the connection, once. For a client that does not take its last message."""
        on_cut, self._on_cut = self._on_cut, None
        if on_cut is not None:
            on_cut()

    def _enqueue(self, chunk: bytes, position: Position, events: int) -> bool:
        if self._taker is not None:
            self._wake()
        return self._queue.put(chunk, position, events)

    def _goes_straight(self, sender: Sender, chunk: bytes, position: Position, events: int) -> bool:
        if not sender.send_straight(chunk):
            self.fall_behind()
            return False
        self.position = position
        self.events += events
        self.bytes += len(chunk)
        if not self.is_writing:  # the rest of a chunk might wait for the client
            self.since = time.monotonic()
        if self.end is not None and self.is_at_end:
            self._wake()
        return True

    def _wake(self) -> None:
        sender = self._sender or self._taker
        self._sender = self._taker = None
        if sender is not None:
            self._queue = ChunkQueue(self._queue_bytes)
            sender.woken()
        else:
            self._queue.wake()

    def __repr__(self) -> str:
        return f"<Listener {self.id} {'+'.join(self.channels)} {self.encoding.name}>"
