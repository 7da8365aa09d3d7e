"""Listener: one connection's place on one or more channels.

It is either **live** or **catching up**. Live, its audience hands it chunks, and they wait in a gevent
queue that is bounded in bytes. When the queue is full it is thrown away, and the listener is catching
up: its own greenlet reads history from the last position that it yielded. First connect with replay,
reconnect, and slow reader are one mechanism; memory per slow client is constant, and nothing is lost
while history lasts.
"""

from __future__ import annotations

import enum
import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty
from secrets import token_hex

from gevent.queue import SimpleQueue

from .event import ALL, LISTENER_PREFIX, USER_PREFIX, Position
from .listen_request import ListenRequest
from .presence import Place

_ID = re.compile("[0-9a-f]{16}", re.ASCII)
_WAKE = (b"", None, 0)
_BEFORE_ALL = Position(0, 0)


class CloseReason(enum.Enum):
    """Why a listener was closed. The value is what a client reads in ``closed``."""

    CLIENT_GONE = "client_gone"
    STALLED = "stalled"
    EXPIRED = "expired"
    REVOKED = "revoked"
    KICKED = "kicked"
    DRAINING = "draining"
    BROKER_LOST = "broker_lost"
    LIMIT = "limit"
    FINISHED = "finished"

    @property
    def reconnect(self) -> bool:
        """Whether the client should come back for more."""
        return self not in _FOR_GOOD


def is_listener_id(text: str) -> bool:
    """Whether this can be the id of a listener."""
    return _ID.fullmatch(text) is not None


_FOR_GOOD = frozenset({CloseReason.EXPIRED, CloseReason.REVOKED, CloseReason.FINISHED})


class Listener:
    """One connection's place on its channels.

    Args:
        request: What the client asks for. It is copied, and not kept.
        on_cut: Called once when the connection must break at once, because the client takes no more bytes: outside of the
            connection's greenlet.

    Attributes (besides those of the request):
        id: Random, 16 hex digits.
        expires_at: Monotonic seconds at which its grant ends, or None.
        came_at: Monotonic seconds at which it was made.
        since_ms: The same as Unix time in ms.
        events: Number of events that it was handed.
        bytes: Size of all its chunks.
        position: Of the last chunk that was yielded: what the client has, or is being sent.
        is_live: Live or catching up; there is no third state.
        close_reason: None while it is open.
        is_writing: A chunk of it is on its way to the socket; else it waits for something to send.
        since: Monotonic seconds at which that began.
        needs_verdict: Ask the broker whether history covers its position before reading on.
        own_after: Nothing on its own channel is from before this position: then nobody knew its id.
        is_known: It was taken on, and others were told.
        unread_since: Monotonic seconds at which the log could not be read for it, and never since; None if that went well.
        reported: For each channel, the trimmed mark that a gap has told of already.
    """

    __slots__ = (
        "_joined_key", "_on_cut", "_on_woken", "_queue", "_queue_bytes", "_queued", "_straight", "address", "bytes", "came_at",
        "channels", "close_reason", "encoding", "events", "expires_at", "grant", "heartbeat_as_comment", "id", "is_known",
        "is_live", "is_writing", "member", "meta", "needs_verdict", "own_after", "position", "present_on", "reported", "resume",
        "since", "since_ms", "start", "unread_since", "view",
    )  # fmt: skip

    def __init__(self, request: ListenRequest, *, on_cut: Callable[[], None] | None = None) -> None:
        self.id = token_hex(8)
        self.channels = request.channels
        self.encoding = request.encoding
        self.resume = request.resume
        self.start = request.start
        self.view = request.view
        self.grant = grant = request.grant
        self.member = request.member
        self.present_on = request.present_on
        self.meta = request.meta
        self.address = request.address
        self.heartbeat_as_comment = request.heartbeat_as_comment
        self.position = self.own_after = _BEFORE_ALL
        self.is_known = False
        self.is_live = False
        self.needs_verdict = False
        self.reported: dict[str, int] | None = None
        self.unread_since: float | None = None
        self.close_reason: CloseReason | None = None
        self.is_writing = False
        self.since = self.came_at = time.monotonic()
        self.since_ms = time.time_ns() // 1_000_000
        self.expires_at = None if grant.expires_at is None else self.came_at + grant.expires_at - self.since_ms / 1000
        self.events = 0
        self.bytes = 0
        self._on_cut = on_cut
        self._queue: SimpleQueue[tuple[bytes, Position | None, int]] = SimpleQueue()
        self._queue_bytes = request.queue_bytes
        self._queued = 0
        self._joined_key = 0
        self._straight: Callable[[bytes], bool] | None = None
        self._on_woken: Callable[[], object] | None = None

    @property
    def audience_key(self) -> tuple[object, ...]:
        """Listeners with the same key get the same bytes."""
        return (self.channels, self.encoding, self.view)

    @property
    def shared(self) -> tuple[str, ...]:
        """What its audience gets: its channels, and what goes to all."""
        return self.channels if ALL in self.channels else (*self.channels, ALL)

    @property
    def personal(self) -> tuple[str, ...]:
        """What goes to it alone: not part of its audience's key, or every listener would be an audience of its own."""
        user = USER_PREFIX + self.grant.user
        if not self.grant.user or user in self.channels:
            return (LISTENER_PREFIX + self.id,)
        return (LISTENER_PREFIX + self.id, user)

    def place(self) -> Place:
        """What the register says of it."""
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
        """It has written what it had, and waits for more."""
        self.is_writing = False
        self.since = time.monotonic()

    def writes(self, chunk: bytes) -> None:
        """It hands a chunk to the server, and returns when the server has written it."""
        self.bytes += len(chunk)
        self.is_writing = True
        self.since = time.monotonic()

    @property
    def is_idle(self) -> bool:
        """Live, with nothing to take."""
        return self.is_live and not self._queue.qsize()

    def park(self, straight: Callable[[bytes], bool], on_woken: Callable[[], object]) -> bool:
        """From now on nobody takes: an idle listener then needs no greenlet, which weighs ten times what it does itself.

        Args:
            straight: Sends a chunk at once, or says that it can't. Must not switch.
            on_woken: Called when somebody has to take again: it is catching up, or closed. Must not switch.

        Returns:
            False if there is something to do now.
        """
        if not self.is_idle:
            return False
        self._straight, self._on_woken = straight, on_woken
        self.waits()
        return True

    def begins(self, hub_position: Position) -> None:
        """It is about to find out where it starts; what befell the log before does not concern it.

        Args:
            hub_position: Nobody has been told its id, and the hub has read so far.
        """
        self.needs_verdict = False
        self.own_after = hub_position

    def moved_to(self, position: Position, events: int = 0) -> None:
        """Catching up, it is handed a page of history: up to this position, with this number of events."""
        self.position = position
        self.events += events

    def was_judged(self, resume_at: Position) -> None:
        """The broker has given its verdict on where the listener stands. It reads on from here."""
        self.needs_verdict = False
        self.position = resume_at

    def learn_of_trimming(self, channels: Iterable[str], mark: int) -> bool:
        """A gap tells it that these channels were trimmed up to this mark.

        Returns:
            False if an earlier gap has told it already.
        """
        told = self.reported = self.reported or {}
        if all(told.get(channel, 0) >= mark for channel in channels):
            return False
        told.update(dict.fromkeys(channels, mark))
        return True

    def became_known(self) -> None:
        """The hub has taken it on, and tells others."""
        self.is_known = True

    def has_read(self) -> None:
        """The log could be read for it."""
        self.unread_since = None

    def could_not_read(self) -> float:
        """The log could not be read for it. Returns the seconds since that began."""
        now = time.monotonic()
        if self.unread_since is None:
            self.unread_since = now
        return now - self.unread_since

    def go_live(self, position: Position) -> None:
        """From now on take what is delivered after ``position``, which is where this listener stands."""
        self.is_live = True
        self.position = position
        self._joined_key = position.key

    def fall_behind(self, *, needs_verdict: bool = False) -> None:
        """Throw the queue away and catch up from the last position that was yielded.

        Args:
            needs_verdict: Ask the broker again whether history still covers that position.
        """
        self.is_live = False
        if needs_verdict:
            self.needs_verdict = True
            self.own_after = _BEFORE_ALL  # in another log, positions may begin again from before
        self._clear()
        self._wake()

    def deliver(self, chunk: bytes, position: Position, events: int = 1) -> bool:
        """Queue a chunk of so many events that takes a live listener up to ``position``. Never blocks, never switches.

        A pass that was under way when this listener joined hands out what it has already read from
        history: its position is not beyond the one it joined at, and it is passed over.

        Returns:
            False if the queue was full: the listener is catching up now.
        """
        if not self.is_live or position.key <= self._joined_key:
            return True
        if self._straight is not None:
            return self._goes_straight(chunk, position, events)
        if self._queued and self._queued + len(chunk) > self._queue_bytes:
            self.fall_behind()
            return False
        self._queued += len(chunk)
        self._queue.put((chunk, position, events))
        return True

    def deliver_heartbeat(self, frame: bytes, position: Position) -> None:
        """Tell a listener that has had nothing for a while how far the log is. Only with nothing queued:
        a position must never be ahead of what the listener was handed."""
        if self.is_live and self._straight is not None:
            self._goes_straight(frame, position, 0)
        elif self.is_live and not self._queued and not self.is_writing:
            self._queued += len(frame)
            self._queue.put((frame, position, 0))

    def take(self, limit: int) -> bytes:
        """Wait for what is queued and take it as one chunk of up to ``limit`` bytes. Switches.

        Returns:
            The chunk; empty when the listener was woken for another reason: it is no longer live, or closed.
        """
        queue = self._queue
        chunk, position, events = queue.get()
        if position is None:
            return b""
        taken = [chunk]
        size = len(chunk)
        while queue.qsize():
            following, reached, more = queue.peek_nowait()
            if reached is None or size + len(following) > limit:
                break
            queue.get_nowait()
            taken.append(following)
            size += len(following)
            events += more
            position = reached
        self._queued -= size
        self.events += events
        self.position = position
        return b"".join(taken) if len(taken) > 1 else chunk

    def rest(self, seconds: float) -> None:
        """Catching up, wait so long, or until somebody closes it. Switches."""
        with suppress(Empty):
            self._queue.get(timeout=seconds)

    def close(self, reason: CloseReason) -> bool:
        """End it. What is queued is not sent any more; the first reason stays.

        Returns:
            False if it was closed already.
        """
        if self.close_reason is not None:
            return False
        self.close_reason = reason
        self.is_live = False
        self._clear()
        self._wake()
        return True

    def cut(self) -> None:
        """Break the connection, once, for a client that does not even take its goodbye."""
        on_cut, self._on_cut = self._on_cut, None
        if on_cut is not None:
            on_cut()

    def _goes_straight(self, chunk: bytes, position: Position, events: int) -> bool:
        assert self._straight is not None
        if not self._straight(chunk):
            self.fall_behind()
            return False
        self.position = position
        self.events += events
        self.bytes += len(chunk)
        self.waits()
        return True

    def _clear(self) -> None:
        while self._queue.qsize():
            self._queue.get_nowait()
        self._queued = 0

    def _wake(self) -> None:
        on_woken, self._straight, self._on_woken = self._on_woken, None, None
        if on_woken is not None:
            on_woken()
            return
        if not self._queue.qsize():
            self._queue.put(_WAKE)

    def __repr__(self) -> str:
        return f"<Listener {self.id} {'+'.join(self.channels)} {self.encoding.name}>"
