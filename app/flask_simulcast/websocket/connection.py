"""Connection: one WebSocket. What a handler of `GuardedSock` is given.

Reading, answering pings and writing what had to wait run in callbacks of the event loop, without a greenlet of their own: a
greenlet weighs 10 KB, and a callback can't be interrupted half-way. A turn reads 16 KiB at most, then everybody else has
theirs, whatever the client sends. Only `receive` and `send` wait, in the handler's greenlet or any other.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from typing import Any, overload

from gevent import get_hub
from gevent.event import Event

from ..encoding.websocket import PING, PONG, binary_frame, close_frame, frame, text_frame
from ..errors import ConnectionClosedError
from ..listener import CloseReason
from .endings import CLIENT_CLOSED, ENDINGS, TOO_FAST, Ending, of_code
from .inbox import Ended, Inbox
from .limits import CLOSE_SECONDS, Bucket, Limits
from .output import Output
from .parser import Close, Item, Parser, Ping, Violation
from .pulse import Pulse
from .wire import Wire

_READ = 1
# When the end has come behind messages, the handler has so long to take them and to answer.
_ORDERLY_SECONDS = 0.5
_SHORTEST_WAIT_SECONDS = 0.001
_VANISHED = 1006


class State(enum.Enum):
    """Of a connection; it only goes down."""

    OPEN = "open"
    ENDING = "ending"  # the client has ended it, and the handler is at what came before
    CLOSING = "closing"  # our close frame is on its way; the client's, or the end of its bytes, is waited for
    CLOSED = "closed"


class Connection:
    """One WebSocket. Any greenlet may use it, several at once.

    Args:
        client: The server's socket.
        limits: Of this client.
        text_only: Binary messages are refused with 1003.
        breathe: Lets others in now and then; called by who sends.

    Attributes:
        ending: How it ended, or is about to; None while it is open.
        came_at: Monotonic seconds.
        received: Messages taken from the client.
        sent: Messages sent.
    """

    #: flask-sock asks which server this is: for gunicorn it ends the response without a byte.
    mode = "gunicorn"

    __slots__ = (
        "__weakref__", "_breathe", "_frames", "_has_ended_output", "_inbox", "_is_deaf", "_is_listening", "_limits", "_messages", "_output",
        "_parser", "_paused_at", "_peer_has_closed", "_pulse", "_reader", "_since", "_state", "_timer", "_waiting", "_wire",
        "came_at", "ending", "received", "sent",
    )  # fmt: skip

    def __init__(
        self, client: Any, limits: Limits, *, text_only: bool = False, breathe: Callable[[], object] = lambda: None
    ) -> None:
        now = time.monotonic()
        self.came_at = now
        self.ending: Ending | None = None
        self.received = 0
        self.sent = 0
        self._limits = limits
        self._breathe = breathe
        self._state = State.OPEN
        self._since = now  # in this state
        self._parser = Parser(message_bytes=limits.message_bytes, fragments=limits.fragments, text_only=text_only)
        self._messages = Bucket(limits.messages_per_second, now)
        self._frames = Bucket(limits.frames_per_second, now)
        self._pulse = Pulse(limits.heartbeat_seconds, limits.stall_seconds, now)
        self._inbox = Inbox(limits.queue_bytes)
        self._wire = Wire(client)
        self._output = Output(self._wire, limits.queue_bytes, self._output_moved, self._vanish)
        self._paused_at: float | None = None  # the handler does not take what came
        self._peer_has_closed = False
        self._is_deaf = False  # what comes can't be understood, or shall not be
        self._has_ended_output = False
        self._is_listening = False
        self._waiting: Event | None = None
        self._timer: Any = None
        self._reader = get_hub().loop.io(self._wire.fileno(), _READ)

    def open(self, answer: bytes) -> None:
        """Answer the handshake, and begin to read. Does not switch."""
        self._output.put(answer)
        if self._state is State.OPEN:
            self._listen()
            self._arm()

    # What handlers call

    @property
    def is_open(self) -> bool:
        """Something can still be sent."""
        return self._state is State.OPEN or self._state is State.ENDING

    @overload
    def receive(self, timeout: None = None) -> str | bytes: ...

    @overload
    def receive(self, timeout: float) -> str | bytes | None: ...

    def receive(self, timeout: float | None = None) -> str | bytes | None:
        """The client's next message: text, or bytes. Switches.

        What came before the end can still be taken after it.

        Args:
            timeout: Seconds after which None is returned.

        Raises:
            ConnectionClosedError: Nothing will come any more.
        """
        try:
            message = self._inbox.take(timeout)
        except Ended:
            self._begin_closing()
            raise self._closed_error() from None
        if self._paused_at is not None and self._inbox.has_room:
            self._resume()
        return message

    def send(self, message: str | bytes) -> None:
        """Send one message as one frame: a text, or bytes. Waits only for a client that is slow. May switch.

        Raises:
            ConnectionClosedError: The client won't get it.
        """
        self.send_frame(text_frame(message.encode()) if isinstance(message, str) else binary_frame(message))

    def send_frame(self, frame: bytes) -> None:
        """Send a frame that was made already: the same bytes for all who get it. May switch.

        Returns once it is in the kernel's hands, or among the `Limits.queue_bytes` that may wait; what others send meanwhile
        comes before it or after it, never into it.

        Args:
            frame: A whole message, from `text_frame`.

        Raises:
            ConnectionClosedError: The client won't get it.
        """
        output = self._output
        while self.is_open and not output.has_room(len(frame)):
            output.wait_for_room()
        if self.is_open:
            output.put(frame)
        if not self.is_open:
            raise self._closed_error()
        self.sent += 1
        self._breathe()

    def close(self, code: int | CloseReason = 1000, reason: str = "") -> None:
        """Say goodbye, after what was sent before. The first ending stays. Does not switch.

        Args:
            code: 1000, 3000-4999, or a reason that all transports know, which has a code and words of its own.
            reason: In words, for the client; at most 123 bytes of it.

        Raises:
            ValueError: A code that can't be sent.
        """
        if code is CloseReason.CLIENT_GONE:
            self.cut()  # there is nobody to tell
            return
        if isinstance(code, CloseReason):
            ending = ENDINGS[code].saying(reason) if reason else ENDINGS[code]
        else:
            ending = of_code(code, reason)
        self.end(ending)

    # What the server's side calls

    def end(self, ending: Ending) -> None:
        """Close with this ending, at once. Does not switch."""
        if self._state is State.OPEN:
            self.ending = ending
        self._begin_closing()

    def cut(self) -> None:
        """Break it, without waiting for anything. Does not switch."""
        self._vanish()

    def finish(self, ending: Ending) -> None:
        """The handler is over: close, and wait until the client has closed as well, for at most a second. Switches.

        Afterwards nothing of it is left in the loop.
        """
        try:
            self.end(ending)
            if self._state is not State.CLOSED:
                self._waiting = Event()
                self._waiting.wait(2 * CLOSE_SECONDS)
        finally:
            self._vanish()

    # From the loop: nothing below switches

    def _read(self) -> None:
        """One turn."""
        data = self._wire.receive()
        if data is None:
            return
        if not data:
            self._vanish()
            return
        now = time.monotonic()
        self._pulse.beat(now)
        if not self._is_deaf:
            self._take(data, now)
        self._read_what_is_left()

    def _listen(self) -> None:
        self._is_listening = True
        self._reader.start(self._read)
        self._read_what_is_left()

    def _stop_listening(self) -> None:
        self._is_listening = False
        self._reader.stop()

    def _read_what_is_left(self) -> None:
        if self._is_listening and self._wire.has_more:
            get_hub().loop.run_callback(self._read_more)

    def _read_more(self) -> None:
        if self._is_listening:
            self._read()

    def _take(self, data: bytes, now: float) -> None:
        before = self._parser.frames
        items = self._parser.feed(data)
        if not self._frames.take(self._parser.frames - before, now):
            items.append(Violation(TOO_FAST.saying(f"More than {self._limits.frames_per_second:g} frames a second.")))
        handle = self._handle if self._state is State.OPEN else self._handle_at_the_end
        for item in items:
            handle(item, now)
            if self._is_deaf or self._peer_has_closed or self._state is State.CLOSED:
                break
        if self._state is State.OPEN and self._inbox.is_full:
            self._pause(now)

    def _handle(self, item: Item, now: float) -> None:
        kind = type(item)
        if kind is str or kind is bytes:
            if self._messages.take(1, now):
                self.received += 1
                self._inbox.put(item)  # type: ignore[arg-type]
            else:
                words = f"More than {self._limits.messages_per_second:g} messages a second."
                self._is_ended_by_client(TOO_FAST.saying(words))
        elif isinstance(item, Ping):
            self._output.put_control(frame(PONG, item.payload))
        elif isinstance(item, Close):
            self._is_ended_by_client(CLIENT_CLOSED._replace(code=item.code, reason=item.reason))
        elif isinstance(item, Violation):
            self._is_ended_by_client(item.ending)

    def _handle_at_the_end(self, item: Item, now: float) -> None:
        """Our close frame is on its way: only the client's own counts (RFC 6455, 1.4)."""
        if isinstance(item, Close):
            self._peer_has_closed = True
            self._end_output()
        elif isinstance(item, Violation):
            self._is_deaf = True
            self._end_output()

    def _is_ended_by_client(self, ending: Ending) -> None:
        """By its goodbye, or by what can't be gone on from. In its place behind the messages, so that none is lost."""
        self.ending = ending
        self._peer_has_closed = ending.name == CLIENT_CLOSED.name
        self._is_deaf = not self._peer_has_closed
        self._become(State.ENDING)
        self._stop_listening()
        self._inbox.end()
        self._arm()

    def _begin_closing(self) -> None:
        if not self.is_open:
            return
        assert self.ending is not None
        self._become(State.CLOSING)
        self._inbox.end()
        if self.ending.code == ENDINGS[CloseReason.STALLED].code:
            self._output.forget()  # it does not take that; perhaps it takes this
        words = "" if self._peer_has_closed else self.ending.reason
        self._output.put(close_frame(self.ending.code, words))
        self._output.release()
        if self._state is State.CLOSING:
            self._paused_at = None
            self._listen()
            self._arm()
            self._end_output()

    def _end_output(self) -> None:
        """When both have said goodbye, or when the client can't be understood: nothing more will be sent.

        Only then: a proxy ends both sides at once, and the client would lose our last frame. The rest of what it sends is read and
        thrown away until it ends, for a second at most: closing a socket with unread bytes sends an RST, which would overtake
        our last frame as well (RFC 6455, 7.1.1).
        """
        if self._has_ended_output or not self._output.is_empty or not (self._is_deaf or self._peer_has_closed):
            return
        self._has_ended_output = True
        self._is_deaf = True
        self._wire.end_output()

    def _vanish(self) -> None:
        """The client's bytes have ended, or it can't be written to, or it had its time."""
        if self._state is State.CLOSED:
            return
        if self.ending is None:
            self.ending = ENDINGS[CloseReason.CLIENT_GONE]
        self._become(State.CLOSED)
        self._stop_listening()
        self._reader.close()
        if self._timer is not None:
            self._timer.close()
            self._timer = None
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
            self._arm()
        elif self._state is State.CLOSING:
            self._end_output()

    def _pause(self, now: float) -> None:
        """Read nothing until the handler has taken some: then the client's own writes wait."""
        self._paused_at = now
        self._stop_listening()
        self._arm()

    def _resume(self) -> None:
        self._paused_at = None
        if self._state is State.OPEN:
            self._pulse.beat(time.monotonic())  # its pongs were behind what had to wait
            self._listen()
            self._arm()

    # The one timer

    def _arm(self) -> None:
        """For whatever is due next."""
        if self._timer is not None:
            self._timer.close()
        wait = max(self._due_at() - time.monotonic(), _SHORTEST_WAIT_SECONDS)
        self._timer = get_hub().loop.timer(wait)
        self._timer.start(self._look, update=True)

    def _due_at(self) -> float:
        if self._state is State.CLOSING:
            return self._since + CLOSE_SECONDS
        if self._state is State.ENDING:
            return self._since + _ORDERLY_SECONDS
        alive_at = self._pulse.ping_at if self._paused_at is None else float("inf")
        return min(alive_at, self._given_up_at()[0])

    def _given_up_at(self) -> tuple[float, CloseReason]:
        """When an open connection ends that goes on like this, and why."""
        stall = self._limits.stall_seconds
        stuck_at = self._output.stuck_at(stall)
        if self._paused_at is None:
            return min(stuck_at, self._pulse.stalls_at), CloseReason.STALLED
        taken_at = self._paused_at + stall
        return (stuck_at, CloseReason.STALLED) if stuck_at <= taken_at else (taken_at, CloseReason.LIMIT)

    def _look(self) -> None:
        now = time.monotonic()
        if self._state is State.CLOSING:
            if now >= self._due_at():
                self._vanish()
                return
        elif self._state is State.ENDING:
            if now >= self._due_at():
                self._begin_closing()
                return
        else:
            at, reason = self._given_up_at()
            if now >= at:
                self.end(ENDINGS[reason])
                return
            if self._paused_at is None and now >= self._pulse.ping_at:
                self._output.put_control(frame(PING, b""))
                self._pulse.asked(now)
        if self._state is not State.CLOSED:
            self._arm()

    def _closed_error(self) -> ConnectionClosedError:
        assert self.ending is not None
        return ConnectionClosedError(self.ending.code, self.ending.reason)

    def __repr__(self) -> str:
        return f"<Connection {self._state.value}{f' {self.ending.name}' if self.ending else ''}>"
