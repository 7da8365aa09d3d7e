"""Lifecycle: the state of one WebSocket, driven by the loop. Nothing in this file waits.

Reading, answering pings, and writing queued frames run in callbacks of the event loop, without a greenlet of their own: a
greenlet takes 10 KB, and nothing can interrupt a callback.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from typing import Any

from ...close_reason import CloseReason
from ...encoding.websocket import PING, PONG, close_frame, frame
from .close_codes import CLIENT_CLOSED, CLOSE_CODES, TOO_FAST, CloseCode
from .inbox import Inbox, ReceivedInbox
from .keepalive import Keepalive
from .limits import CLOSE_SECONDS, Bucket, Limits
from .parser import Close, Item, Ping, Violation
from .reader import Reader
from .sender import Sender
from .wire import Wire

# Seconds for the handler to take the messages that came before the end, and to answer them.
_ORDERLY_SECONDS = 0.5


class State(enum.Enum):
    """The state of a connection. It only moves down this list."""

    OPEN = "open"
    ENDING = "ending"  # the client has ended it, and the handler takes the messages that came before
    CLOSING = "closing"  # the server's close frame is on its way; the client's, or the end of its bytes, is awaited
    CLOSED = "closed"


class Lifecycle(Sender):
    """The base of `Connection`: its state, and everything that the loop does for it.

    Args:
        client: The server's socket.
        limits: The limits of this client.
        text_only: True to refuse binary messages.
        is_compressed: True if compression was negotiated.

    Attributes:
        ending: The ending of the connection, once it has begun to end; None while it is open.
        came_at: Time of the start, in monotonic seconds.
        received: Number of messages accepted from the client.
        farewell: Makes a frame to send right before the server's close frame, for a protocol whose farewell does not fit
            into a close frame. Must not switch.
    """

    __slots__ = (
        "_has_ended_output",
        "_inbox",
        "_keepalive",
        "_messages",
        "_on_closed",
        "_paused_at",
        "_peer_has_closed",
        "_reader",
        "_since",
        "_state",
        "came_at",
        "ending",
        "farewell",
        "received",
    )  # fmt: skip

    def __init__(self, client: Any, limits: Limits, *, text_only: bool, is_compressed: bool = False) -> None:
        super().__init__(Wire(client), limits)
        now = time.monotonic()
        self.came_at = now
        self.ending: CloseCode | None = None
        self.received = 0
        self.farewell: Callable[[CloseCode], bytes] | None = None
        self._state = State.OPEN
        self._since = now  # in this state
        self._messages: Bucket | None = None  # since the first message
        self._keepalive = Keepalive(limits.heartbeat_seconds, limits.stall_seconds, now)
        self._reader = Reader(self._wire, limits, self, text_only=text_only, is_compressed=is_compressed)
        self._inbox: Inbox = ReceivedInbox(limits.queue_bytes)
        self._paused_at: float | None = None  # since when the inbox is full and reading has stopped
        self._peer_has_closed = False
        self._has_ended_output = False
        self._on_closed: Callable[[], object] | None = None

    def open(self, answer: bytes) -> None:
        """Answer the handshake, and start to read. Does not switch."""
        self._put(answer)
        if self._state is State.OPEN:
            self._reader.start()
            self._set_alarm()

    @property
    def is_open(self) -> bool:
        """True if messages can still be sent."""
        return self._state is State.OPEN or self._state is State.ENDING

    def end(self, ending: CloseCode) -> None:
        """Close with this ending, at once. Does not switch."""
        if self._state is State.OPEN:
            self.ending = ending
        self._begin_closing()

    def cut(self) -> None:
        """Break the connection at once. Does not switch."""
        self._vanish()

    # Called from the loop

    def on_items(self, items: list[Item], now: float) -> None:
        """Handle the items of one turn. Any byte is a sign of life."""
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
            if self._messages is None:
                self._messages = Bucket(self._limits.messages_per_second)
            if self._messages.take(1, now):
                self.received += 1
                self._inbox.put(item)  # type: ignore[arg-type]
            else:
                self._end_in_order(
                    TOO_FAST.saying(f"More than {self._limits.messages_per_second:g} messages a second.")
                )
        elif isinstance(item, Ping):
            self._put_control(frame(PONG, item.payload))
        elif isinstance(item, Close):
            self._end_in_order(CLIENT_CLOSED._replace(code=item.code, reason=item.reason))
        elif isinstance(item, Violation):
            self._end_in_order(item.ending)

    def _handle_at_the_end(self, item: Item) -> None:
        """Handle an item after the server has closed: only the client's own close frame counts (RFC 6455, 1.4)."""
        if isinstance(item, Close):
            self._peer_has_closed = True
        elif isinstance(item, Violation):
            self._reader.is_deaf = True
        self._end_output()

    def _end_in_order(self, ending: CloseCode) -> None:
        """End by the client's close frame or by a violation, after the messages that came before, so that none is lost."""
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
        if self._output is not None and self.ending.name == CloseReason.STALLED.value:
            self._output.forget()  # the client does not read those frames, but might read the close frame
        if self._peer_has_closed:
            last = close_frame(self.ending.code)
        else:
            last = self.farewell(self.ending) if self.farewell is not None else b""
            last += close_frame(self.ending.code, self.ending.reason)
        self._put(last)
        if self._output is not None:
            self._output.release()
        if self._state is State.CLOSING:
            self._paused_at = None
            self._reader.start()
            self._set_alarm()
            self._end_output()

    def _end_output(self) -> None:
        """End the output once both sides have sent a close frame, or once the client has violated the protocol.

        Not earlier: a proxy ends both directions at once, and the client would lose the server's last frame. The rest of the
        client's bytes is read and dropped until they end, for a second at most: a close of a socket with unread bytes sends
        an RST, which would overtake the last frame as well (RFC 6455, 7.1.1).
        """
        is_agreed = self._peer_has_closed or self._reader.is_deaf
        if is_agreed and self._has_sent_all and not self._has_ended_output:
            self._has_ended_output = True
            self._reader.is_deaf = True
            self._wire.end_output()

    def on_end(self) -> None:
        """The client's bytes have ended."""
        self._vanish()

    def _vanish(self) -> None:
        """End everything: the client's bytes have ended, a write failed, or the time for closing is over."""
        if self._state is State.CLOSED:
            return
        if self.ending is None:
            self.ending = CLOSE_CODES[CloseReason.CLIENT_GONE]
        self._become(State.CLOSED)
        self._reader.close()
        self._sleep_on()
        if self._output is not None:
            self._output.close()
        self._inbox.end()
        self._wire.cut()
        self._inbox.closed()
        if self._on_closed is not None:
            self._on_closed()

    def _become(self, state: State) -> None:
        self._state = state
        self._since = time.monotonic()

    def _output_moved(self) -> None:
        if self._state is State.OPEN:
            self._set_alarm()
        elif self._state is State.CLOSING:
            self._end_output()

    def _pause(self, now: float) -> None:
        """Stop reading until the handler has taken some messages. Meanwhile the client's own writes wait."""
        self._paused_at = now
        self._reader.stop()
        self._set_alarm()

    def read_on(self) -> None:
        """Read on if the handler has taken some of the messages for which reading had stopped."""
        if self._paused_at is None or not self._inbox.has_room:
            return
        self._paused_at = None
        if self._state is State.OPEN:
            self._keepalive.beat(time.monotonic())  # its pongs were behind the messages that had to wait
            self._reader.start()
            self._set_alarm()

    # Deadlines

    def _set_alarm(self) -> None:
        if self._state is not State.CLOSED:  # what the caller did before may have ended everything
            self._wake_at(self._due_at())

    def _due_at(self) -> float:
        if self._state is State.CLOSING:
            return self._since + CLOSE_SECONDS
        if self._state is State.ENDING:
            return self._since + _ORDERLY_SECONDS
        ping_at = self._keepalive.ping_at if self._paused_at is None else float("inf")
        return min(ping_at, self._given_up_at()[0])

    def _given_up_at(self) -> tuple[float, CloseReason]:
        """Return when an open connection will be given up if nothing changes, and the reason."""
        stuck_at = self._stuck_at()
        if self._paused_at is None:
            return min(stuck_at, self._keepalive.stalls_at), CloseReason.STALLED
        taken_at = self._paused_at + self._limits.stall_seconds
        return (stuck_at, CloseReason.STALLED) if stuck_at <= taken_at else (taken_at, CloseReason.LIMIT)

    def _on_alarm(self) -> None:
        """Check whether a deadline has passed. It might not have, because the alarm is not set again for each byte."""
        now = time.monotonic()
        if now >= self._due_at():
            self._act(now)
        self._set_alarm()

    def _act(self, now: float) -> None:
        if self._state is State.CLOSING:
            self._vanish()
        elif self._state is State.ENDING:
            self._begin_closing()
        elif now >= (given_up := self._given_up_at())[0]:
            self.end(CLOSE_CODES[given_up[1]])
        else:
            self._put_control(frame(PING, b""))
            self._keepalive.asked(now)

    def __repr__(self) -> str:
        return f"<Connection {self._state.value}{f' {self.ending.name}' if self.ending else ''}>"
