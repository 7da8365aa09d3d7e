"""Connection: one WebSocket. A handler of `GuardedSock` gets one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, overload

from gevent.event import Event as Flag

from ...close_reason import CloseReason
from ...encoding.websocket import BINARY, COMPRESSED, TEXT, frame
from ...errors import ConnectionClosedError
from ...loop import Breather
from .close_codes import BUG, CLOSE_CODES, CloseCode, of_code
from .deflate import Deflate
from .inbox import Ended, Inbox
from .lifecycle import Lifecycle, State
from .limits import CLOSE_SECONDS, Limits
from .wire import OwnWire

if TYPE_CHECKING:
    from .served import Served


class Held(Protocol):
    """An object that must not outlive a connection, such as a subscription."""

    def stop(self) -> None:
        """Stop it. A second call does nothing. May switch."""


class Connection(Lifecycle):
    """One WebSocket. Several greenlets may use it at once.

    Args:
        client: The server's socket.
        limits: The limits of this client.
        text_only: True to refuse binary messages with 1003.
        deflate: The negotiated compression; None if there is none.
        subprotocol: The negotiated subprotocol; None if there is none.
        breather: Lets other greenlets run from time to time, after a send.

    Attributes:
        ending: The ending of the connection, once it has begun to end; None while it is open.
        came_at: Time of the start, in monotonic seconds.
        received: Number of messages accepted from the client.
        sent: Number of messages sent.
        subprotocol: The subprotocol negotiated in the handshake; None if there is none.
        on_message: Set by a handler that returns and leaves the connection open: called with each message that comes, text or
            bytes, one at a time. May switch.
        on_close: Called once when such a connection has closed. May switch.
    """

    line = 0  # no other listener shares its writes

    __slots__ = ("__weakref__", "_breather", "_deflate", "_held", "on_close", "on_message", "sent", "subprotocol")

    def __init__(
        self,
        client: Any,
        limits: Limits,
        *,
        text_only: bool = False,
        deflate: Deflate | None = None,
        subprotocol: str | None = None,
        breather: Breather | None = None,
    ) -> None:
        super().__init__(client, limits, text_only=text_only, is_compressed=deflate is not None)
        self.sent = 0
        self.subprotocol = subprotocol
        self.on_message: Callable[[Any], object] | None = None
        self.on_close: Callable[[], object] | None = None
        self._deflate = deflate
        self._breather = breather
        self._held: tuple[Held, ...] = ()

    @overload
    def receive(self, timeout: None = None) -> str | bytes: ...

    @overload
    def receive(self, timeout: float) -> str | bytes | None: ...

    def receive(self, timeout: float | None = None) -> str | bytes | None:
        """Return the client's next message: text, or bytes. Switches.

        Messages that came before the end can still be received after it.

        Args:
            timeout: Seconds after which None is returned.

        Raises:
            ConnectionClosedError: The connection has ended, and all messages were received.
        """
        try:
            message = self._inbox.take(timeout)
        except Ended:
            self._begin_closing()
            raise self._closed_error() from None
        self.read_on()
        return message

    def send(self, message: str | bytes) -> None:
        """Send one message as one frame: text, or bytes. Waits only for a slow client. May switch.

        If compression was negotiated, a message of 1 to 128 KiB is compressed, unless that makes it larger.

        Raises:
            ConnectionClosedError: The client won't get it.
        """
        opcode, payload = (TEXT, message.encode()) if isinstance(message, str) else (BINARY, message)
        smaller = self._deflate.compressed(payload) if self._deflate is not None else None
        self.send_frame(frame(opcode, payload) if smaller is None else frame(COMPRESSED | opcode, smaller))

    def send_frame(self, frame: bytes) -> None:
        """Send a finished frame, which has the same bytes for every connection. May switch.

        Returns once the kernel has the frame, or once it waits among the `Limits.queue_bytes`. Frames of other senders go
        out before it or after it, never inside it.

        Args:
            frame: A whole message, from `text_frame`.

        Raises:
            ConnectionClosedError: The client won't get it.
        """
        while self.is_open and (output := self._output) is not None and not output.has_room(len(frame)):
            output.wait_for_room()
        if self.is_open:
            self._put(frame)
        if not self.is_open:
            raise self._closed_error()
        self.sent += 1
        if self._breather is not None:
            self._breather.breathe()

    def send_at_once(self, frame: bytes) -> bool:
        """Send a finished frame if there is room for it now; else do nothing. Does not switch.

        Args:
            frame: A whole message, from `text_frame`.

        Returns:
            False if the caller would have to wait, or if the client won't get it.
        """
        output = self._output
        if not self.is_open or not (output is None or output.has_room(len(frame))):
            return False
        self._put(frame)
        self.sent += 1
        return self.is_open

    def close(self, code: int | CloseReason = 1000, reason: str = "") -> None:
        """Close after the messages that were sent before. The first ending stays. Does not switch.

        Args:
            code: 1000, 3000-4999, or a reason that all transports share, which has its own code and text.
            reason: The close reason, as text for the client. At most 123 bytes of it are sent.

        Raises:
            ValueError: The code can't be sent.
        """
        if code is CloseReason.CLIENT_GONE:
            self.cut()  # the client can't get a close frame
            return
        if isinstance(code, CloseReason):
            ending = CLOSE_CODES[code].saying(reason) if reason else CLOSE_CODES[code]
        else:
            ending = of_code(code, reason)
        self.end(ending)

    def fail(self) -> None:
        """Close with 1011, because of a bug. The first ending stays. Does not switch."""
        self.end(BUG)

    def park(self, served: Served, descriptor: int) -> None:
        """Live without the server and its greenlet from now on, with a descriptor that it has let go of. Does not switch."""
        self._wire = self._reader.wire = OwnWire(descriptor)
        if self._output is not None:
            self._output.sink = self._wire
        self._inbox = served
        served.go_on()

    @property
    def inbox(self) -> Inbox:
        """The messages that were not handed on yet."""
        return self._inbox

    def finish(self, ending: CloseCode) -> None:
        """End the connection after the handler: close, and wait for the client's close, for about a second at most. Switches.

        Afterwards the loop has no callback of it, and everything that it held is stopped.
        """
        try:
            self.end(ending)
            if self._state is not State.CLOSED:
                is_closed = Flag()
                self._on_closed = is_closed.set
                is_closed.wait(2 * CLOSE_SECONDS)
        finally:
            self._vanish()
            for held in self._held:
                held.stop()

    def hold(self, held: Held) -> None:
        """Stop an object when the handler ends, in case the handler forgets to. An object that stops earlier calls `let_go`."""
        self._held += (held,)

    def let_go(self, held: Held) -> None:
        """Forget an object that was stopped. A second call does nothing."""
        self._held = tuple(each for each in self._held if each is not held)

    def _closed_error(self) -> ConnectionClosedError:
        assert self.ending is not None
        return ConnectionClosedError(self.ending.code, self.ending.reason)
