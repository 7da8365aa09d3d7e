"""Lifecycle: the state of one WebSocket, driven by the loop. Nothing in this file waits.

Reading, answering pings and writing what had to wait run in callbacks of the event loop, without a greenlet of their own: a
greenlet weighs 10 KB, and a callback can't be interrupted half-way.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from typing import Any

from gevent.event import Event as Flag

from ...encoding.websocket import PING, PONG, close_frame, frame
from ...listener import CloseReason
from .close_codes import CLIENT_CLOSED, CLOSE_CODES, TOO_FAST, CloseCode
from .inbox import Inbox
from .keepalive import Keepalive
from .limits import CLOSE_SECONDS, Bucket, Limits
from .output import Output
from .parser import Close, Item, Parser, Ping, Violation
from .reader import Reader
from .timer import Timer
from .wire import Wire

# When the end has come behind messages, the handler has so long to take them and to answer.
_ORDERLY_SECONDS = 0.5


class State(enum.Enum):
    """Of a connection; it only goes down."""

    OPEN = "open"
    ENDING = "ending"  # the client has ended it, and the handler is at what came before
    CLOSING = "closing"  # our close frame is on its way; the client's, or the end of its bytes, is waited for
    CLOSED = "closed"


class Lifecycle:
    """What a `Connection` stands on.

    Args:
        client: The server's socket.
        limits: Of this client.
        text_only: Binary messages are refused.
        is_compressed: That messages may be compressed was agreed on.

    Attributes:
        ending: How it ended, or is about to; None while it is open.
        came_at: Monotonic seconds.
        received: Messages taken from the client.
        farewell: Makes the frame that goes right before ours that closes, for a protocol that says more than fits in there.
            Must not switch.
    """

    __slots__ = (
        "_has_ended_output",
        "_inbox",
        "_keepalive",
        "_limits",
        "_messages",
        "_output",
        "_paused_at",
        "_peer_has_closed",
        "_reader",
        "_since",
        "_state",
        "_timer",
        "_waiting",
        "_wire",
        "came_at",
        "ending",
        "farewell",
        "received",
    )  # fmt: skip

    def __init__(self, client: Any, limits: Limits, *, text_only: bool, is_compressed: bool = False) -> None:
        now = time.monotonic()
        self.came_at = now
        self.ending: CloseCode | None = None
        self.received = 0
        self.farewell: Callable[[CloseCode], bytes] | None = None
        self._limits = limits
        self._state = State.OPEN
        self._since = now  # in this state
        self._messages = Bucket(limits.messages_per_second, now)
        self._keepalive = Keepalive(limits.heartbeat_seconds, limits.stall_seconds, now)
        self._timer = Timer(self._look)
        self._wire = Wire(client)
        parser = Parser(
            message_bytes=limits.message_bytes,
            fragments=limits.fragments,
            text_only=text_only,
            is_compressed=is_compressed,
        )
        self._reader = Reader(self._wire, parser, limits.frames_per_second, on_items=self._take, on_end=self._vanish)
        self._inbox = Inbox(limits.queue_bytes)
        self._output = Output(self._wire, limits.queue_bytes, on_moved=self._output_moved, on_broken=self._vanish)
        self._paused_at: float | None = None  # the handler does not take what came
        self._peer_has_closed = False
        self._has_ended_output = False
        self._waiting: Flag | None = None

    def open(self, answer: bytes) -> None:
        """Answer the handshake, and begin to read. Does not switch."""
        self._output.put(answer)
        if self._state is State.OPEN:
            self._reader.start()
            self._set_alarm()

    @property
    def is_open(self) -> bool:
        """Something can still be sent."""
        return self._state is State.OPEN or self._state is State.ENDING

    def end(self, ending: CloseCode) -> None:
        """Close with this ending, at once. Does not switch."""
        if self._state is State.OPEN:
            self.ending = ending
        self._begin_closing()

    def cut(self) -> None:
        """Break it, without waiting for anything. Does not switch."""
        self._vanish()

    # From the loop

    def _take(self, items: list[Item], now: float) -> None:
        """What a turn has brought. Any byte is a sign of life."""
        self._keepalive.beat(now)
        for item in items:
            if self._state is State.OPEN:
                self._handle(item, now)
            elif self._state is State.CLOSING:
                self._handle_at_the_end(item)
        if self._state is State.OPEN and self._inbox.is_full:
            self._pause(now)

    def _handle(self, item: Item, now: float) -> None:
        kind = type(item)
        if kind is str or kind is bytes:
            if self._messages.take(1, now):
                self.received += 1
                self._inbox.put(item)  # type: ignore[arg-type]
            else:
                self._end_in_order(
                    TOO_FAST.saying(f"More than {self._limits.messages_per_second:g} messages a second.")
                )
        elif isinstance(item, Ping):
            self._output.put_control(frame(PONG, item.payload))
        elif isinstance(item, Close):
            self._end_in_order(CLIENT_CLOSED._replace(code=item.code, reason=item.reason))
        elif isinstance(item, Violation):
            self._end_in_order(item.ending)

    def _handle_at_the_end(self, item: Item) -> None:
        """Our close frame is on its way: only the client's own counts (RFC 6455, 1.4)."""
        if isinstance(item, Close):
            self._peer_has_closed = True
        elif isinstance(item, Violation):
            self._reader.is_deaf = True
        self._end_output()

    def _end_in_order(self, ending: CloseCode) -> None:
        """By the client's goodbye, or by what can't be gone on from: in its place behind the messages, so that none is lost."""
        self.ending = ending
        self._peer_has_closed = ending.name == CLIENT_CLOSED.name
        self._reader.is_deaf = True
        self._become(State.ENDING)
        self._reader.stop()
        self._inbox.end()
        self._set_alarm()

    def _begin_closing(self) -> None:
        if not self.is_open:
            return
        assert self.ending is not None
        self._become(State.CLOSING)
        self._inbox.end()
        if self.ending.name == CloseReason.STALLED.value:
            self._output.forget()  # it does not take that; perhaps it takes this
        if self._peer_has_closed:
            last = close_frame(self.ending.code)
        else:
            last = self.farewell(self.ending) if self.farewell is not None else b""
            last += close_frame(self.ending.code, self.ending.reason)
        self._output.put(last)
        self._output.release()
        if self._state is State.CLOSING:
            self._paused_at = None
            self._reader.start()
            self._set_alarm()
            self._end_output()

    def _end_output(self) -> None:
        """When both have said goodbye, or when the client can't be understood: nothing more will be sent.

        Only then: a proxy ends both sides at once, and the client would lose our last frame. The rest of what it sends is read
        and thrown away until it ends, for a second at most: closing a socket with unread bytes sends an RST, which would
        overtake our last frame as well (RFC 6455, 7.1.1).
        """
        is_agreed = self._peer_has_closed or self._reader.is_deaf
        if is_agreed and self._output.is_empty and not self._has_ended_output:
            self._has_ended_output = True
            self._reader.is_deaf = True
            self._wire.end_output()

    def _vanish(self) -> None:
        """The client's bytes have ended, or it can't be written to, or it had its time."""
        if self._state is State.CLOSED:
            return
        if self.ending is None:
            self.ending = CLOSE_CODES[CloseReason.CLIENT_GONE]
        self._become(State.CLOSED)
        self._reader.close()
        self._timer.stop()
        self._output.close()
        self._inbox.end()
        self._wire.cut()
        if self._waiting is not None:
            self._waiting.set()

    def _become(self, state: State) -> None:
        self._state = state
        self._since = time.monotonic()

    def _output_moved(self) -> None:
        if self._state is State.OPEN:
            self._set_alarm()
        elif self._state is State.CLOSING:
            self._end_output()

    def _pause(self, now: float) -> None:
        """Read nothing until the handler has taken some: then the client's own writes wait."""
        self._paused_at = now
        self._reader.stop()
        self._set_alarm()

    def _resume(self) -> None:
        self._paused_at = None
        if self._state is State.OPEN:
            self._keepalive.beat(time.monotonic())  # its pongs were behind what had to wait
            self._reader.start()
            self._set_alarm()

    # What is due, and when

    def _set_alarm(self) -> None:
        self._timer.set(self._due_at())

    def _due_at(self) -> float:
        if self._state is State.CLOSING:
            return self._since + CLOSE_SECONDS
        if self._state is State.ENDING:
            return self._since + _ORDERLY_SECONDS
        ping_at = self._keepalive.ping_at if self._paused_at is None else float("inf")
        return min(ping_at, self._given_up_at()[0])

    def _given_up_at(self) -> tuple[float, CloseReason]:
        """When an open connection ends that goes on like this, and why."""
        stall = self._limits.stall_seconds
        stuck_at = self._output.stuck_at(stall)
        if self._paused_at is None:
            return min(stuck_at, self._keepalive.stalls_at), CloseReason.STALLED
        taken_at = self._paused_at + stall
        return (stuck_at, CloseReason.STALLED) if stuck_at <= taken_at else (taken_at, CloseReason.LIMIT)

    def _look(self) -> None:
        """Something may be due: the alarm is not set again for each byte that comes."""
        now = time.monotonic()
        if now >= self._due_at():
            self._act(now)
        if self._state is not State.CLOSED:
            self._set_alarm()

    def _act(self, now: float) -> None:
        if self._state is State.CLOSING:
            self._vanish()
        elif self._state is State.ENDING:
            self._begin_closing()
        elif now >= (given_up := self._given_up_at())[0]:
            self.end(CLOSE_CODES[given_up[1]])
        else:
            self._output.put_control(frame(PING, b""))
            self._keepalive.asked(now)

    def __repr__(self) -> str:
        return f"<Connection {self._state.value}{f' {self.ending.name}' if self.ending else ''}>"
