"""Connection: one WebSocket. What a handler of `GuardedSock` is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, overload

from gevent.event import Event as Flag

from ...encoding.websocket import BINARY, COMPRESSED, TEXT, frame
from ...errors import ConnectionClosedError
from ...listener import CloseReason
from .close_codes import CLOSE_CODES, CloseCode, of_code
from .deflate import Deflate
from .inbox import Ended
from .lifecycle import Lifecycle, State
from .limits import CLOSE_SECONDS, Limits


class Held(Protocol):
    """What must not outlive a connection: a listener's place."""

    def stop(self) -> None:
        """Give it back. A second call does nothing. May switch."""


class Connection(Lifecycle):
    """One WebSocket. Any greenlet may use it, several at once.

    Args:
        client: The server's socket.
        limits: Of this client.
        text_only: Binary messages are refused with 1003.
        deflate: How to compress, if that was agreed on.
        subprotocol: That was agreed on.
        breathe: Lets others in now and then; called by who sends.

    Attributes:
        ending: How it ended, or is about to; None while it is open.
        came_at: Monotonic seconds.
        received: Messages taken from the client.
        sent: Messages sent.
        subprotocol: What the messages mean, as was agreed on in the handshake; None if nothing was.
    """

    __slots__ = ("__weakref__", "_breathe", "_deflate", "_held", "sent", "subprotocol")

    def __init__(
        self,
        client: Any,
        limits: Limits,
        *,
        text_only: bool = False,
        deflate: Deflate | None = None,
        subprotocol: str | None = None,
        breathe: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(client, limits, text_only=text_only, is_compressed=deflate is not None)
        self.sent = 0
        self.subprotocol = subprotocol
        self._deflate = deflate
        self._breathe = breathe
        self._held: list[Held] = []

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

        Where compression was agreed on, a message of 1 to 128 KiB is compressed, unless that makes it larger.

        Raises:
            ConnectionClosedError: The client won't get it.
        """
        opcode, payload = (TEXT, message.encode()) if isinstance(message, str) else (BINARY, message)
        smaller = self._deflate.compressed(payload) if self._deflate is not None else None
        self.send_frame(frame(opcode, payload) if smaller is None else frame(COMPRESSED | opcode, smaller))

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

    def send_at_once(self, frame: bytes) -> bool:
        """The same if there is room for it now; else nothing is done. Does not switch.

        Args:
            frame: As `send_frame`.

        Returns:
            False if who sends would have to wait, or if the client won't get it.
        """
        if not self.is_open or not self._output.has_room(len(frame)):
            return False
        self._output.put(frame)
        self.sent += 1
        return self.is_open

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
            ending = CLOSE_CODES[code].saying(reason) if reason else CLOSE_CODES[code]
        else:
            ending = of_code(code, reason)
        self.end(ending)

    def finish(self, ending: CloseCode) -> None:
        """The handler is over: close, and wait until the client has closed as well, for at most a second. Switches.

        Afterwards nothing of it is left in the loop, and nothing that it held.
        """
        try:
            self.end(ending)
            if self._state is not State.CLOSED:
                self._waiting = Flag()
                self._waiting.wait(2 * CLOSE_SECONDS)
        finally:
            self._vanish()
            for held in list(self._held):
                held.stop()

    def hold(self, held: Held) -> None:
        """Stop this when the handler is over, in case the handler forgets to. Stopped before, it calls `let_go`."""
        self._held.append(held)

    def let_go(self, held: Held) -> None:
        """It was stopped. A second call does nothing."""
        if held in self._held:
            self._held.remove(held)

    def _closed_error(self) -> ConnectionClosedError:
        assert self.ending is not None
        return ConnectionClosedError(self.ending.code, self.ending.reason)
