"""Duplex: a call that goes on after its request: it streams in both directions, or tells of changes. To its subscriptions it is what
a WebSocket is.

Its handler begins it, and returns; what the client sends then goes to the function that the handler has left. Subscriptions send
beside it. Bytes that the client's windows do not take wait in an `Output`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple, Self, TypeVar

import gevent
from flask import Request
from google.protobuf.message import Message

from ...close_reason import CloseReason
from ...encoding.rpc.codes import BUG, CallError, Code, ending_of
from ...errors import ConnectionClosedError
from ..client_socket import cut, socket_of
from ..handover import has_trailers
from ..kept_request import KeptRequest
from ..line import Line
from ..open_calls import OpenCalls
from ..output import Output
from ..subscription import Subscription
from ..timer import Timer
from ..websocket.limits import CLOSE_SECONDS
from ..writer.start_response import KEY, Gate
from .call import Call
from .served import Served

M = TypeVar("M", bound=Message)

# Ends that the client would not read.
_UNTOLD = (CloseReason.CLIENT_GONE, CloseReason.STALLED)
_BUG = CallError(Code.INTERNAL, BUG)


class Ending(NamedTuple):
    """How a call ends.

    Attributes:
        name: As in `CloseReason`, or ``call`` if its handler ended it.
        error: What the client is told; None if it has left.
    """

    name: str
    error: CallError | None


class DuplexCall:
    """One call that goes on after its request. Its response begins here. Use it in a ``with`` block, after which it goes on if the
    block has called `serve` or `stay`, and ends otherwise.

    Args:
        call: The call.
        request: Its request.
        calls: The open calls of the app, where this one is until it is closed.
        on_error: Returns how the call ends after an error of the block, or of a function of `serve`.

    Attributes:
        ending: How the call ends; None while it is open.

    Raises:
        CallError: UNIMPLEMENTED: the request did not come by HTTP/2.
    """

    __slots__ = (
        "_begin", "_call", "_calls", "_client", "_held", "_is_closed", "_line", "_on_closed", "_on_drain", "_on_error", "_output",
        "_timer", "ending",
    )  # fmt: skip

    def __init__(
        self, call: Call, request: Request, calls: OpenCalls, on_error: Callable[[Exception], CallError]
    ) -> None:
        environ = request.environ
        if not can_go_on(environ):
            raise CallError(
                Code.UNIMPLEMENTED,
                "This call streams in both directions, which needs HTTP/2. Use a client that speaks it.",
            )
        self.ending: Ending | None = None
        self._call = call
        self._calls = calls
        self._on_error = on_error
        self._held: list[Subscription] = []
        self._begin: Callable[[], object] | None = None
        self._on_closed: Callable[[], object] | None = None
        self._on_drain: Callable[[], object] | None = None
        gate: Gate = environ[KEY]
        gate.take([("Content-Type", call.dialect.content_type)])(b"")
        self._client = socket_of(environ)
        self._client.watch(self._vanish)
        self._line: Line = self._client.line()
        self._output = Output(self._line, calls.settings.queue_bytes, on_moved=self._moved, on_broken=self._vanish)
        self._timer = Timer(self._look)
        if call.deadline is not None:
            self._timer.set(call.deadline)
        self._is_closed = False
        calls.add(self)

    def serve(
        self,
        kind: type[M],
        on_message: Callable[[M], object],
        *,
        on_end: Callable[[], object] | None = None,
        on_close: Callable[[], object] | None = None,
        messages_per_second: float | None = None,
    ) -> None:
        """Go on after the request. Each function runs in contexts of the request, in a greenlet, and may switch.

        Args:
            kind: The client's messages.
            on_message: Called with each of them, one at a time.
            on_end: Called when the client has ended its side. Then the call ends.
            on_close: Called when the call has ended, however it did.
            messages_per_second: Rate limit of the messages; 0 for no limit, None for ``SIMULCAST_WEBSOCKET_RATE``.
        """
        rate = self._calls.settings.websocket_rate if messages_per_second is None else messages_per_second
        served = Served(self, self._call, self._client, KeptRequest(), rate, kind, on_message, on_end, on_close)
        self._begin, self._on_closed, self._on_drain = served.start, served.closed, served.drain

    def stay(self, on_close: Callable[[], object], on_drain: Callable[[], object]) -> None:
        """Go on after the request of a client that has said everything.

        Args:
            on_close: Called when the call has ended. It must not switch.
            on_drain: Called when the worker stops. It must not switch, and calls `end` soon.
        """
        self._begin, self._on_closed, self._on_drain = self._call.let_go, on_close, on_drain

    def send(self, message: Message) -> None:
        """Send one message. Waits only for a slow client. May switch.

        Raises:
            ConnectionClosedError: The call has ended.
        """
        self.send_frame(self._call.dialect.frame(message))

    def send_frame(self, frame: bytes) -> None:
        """Send a finished frame. Raises as `send`. May switch."""
        if self.send_at_once(frame):
            return
        with gevent.Timeout(self._calls.settings.stall_seconds, False):  # type: ignore[arg-type]
            while self.ending is None and not self._output.has_room(len(frame)):
                self._output.wait_for_room()
        if not self.send_at_once(frame):
            self.close(CloseReason.STALLED)
            raise ConnectionClosedError(1006, "")

    def send_at_once(self, frame: bytes) -> bool:
        """Send a finished frame if there is room for it now. Return False if there is none, or if the call has ended."""
        if self.ending is not None or not self._output.has_room(len(frame)):
            return False
        self._output.put(frame)
        return self.ending is None

    def hold(self, held: Subscription) -> None:
        """Stop a subscription at the end of the call."""
        self._held.append(held)

    def let_go(self, held: Subscription) -> None:
        """Forget a subscription that was stopped."""
        if held in self._held:
            self._held.remove(held)

    @property
    def line(self) -> int:
        """Number of the connection, which is shared with other calls."""
        return self._line.number

    # The end. The first ending stays; nothing here switches

    def close(self, reason: CloseReason) -> None:
        """End the call for this reason, after what was sent before. If the worker stops, the message that is being handled is
        finished first."""
        if reason is CloseReason.DRAINING and self._on_drain is not None:
            self._on_drain()
        else:
            self.end(reason)

    def cut(self) -> None:
        """End the call because the worker stops, also while a message is being handled."""
        self.end(CloseReason.DRAINING)

    def end(self, reason: CloseReason) -> None:
        """End the call for this reason, after what was sent before."""
        if reason in _UNTOLD:
            self._end(Ending(reason.value, None))
        else:
            told = ending_of(reason.value)
            self._end(Ending(reason.value, told if told.code is Code.OK else self._on_error(told)))

    def fail(self) -> None:
        """End the call because of a bug."""
        self._end(Ending("bug", _BUG))

    def end_by(self, error: Exception) -> None:
        """End the call by an error. That the call has ended, which a handler learns when it sends, is none."""
        if not (isinstance(error, ConnectionClosedError) and self.ending is not None):
            self._end(Ending("call", self._on_error(error)))

    def _end(self, ending: Ending) -> None:
        if self.ending is not None:
            return
        self.ending = ending
        if ending.error is None:
            self._close()
            return
        last = self._line.in_body(self._call.dialect.end(ending.error)) + self._line.end()
        if last:
            self._output.put(last)
        self._output.release()
        if self._output.is_empty:
            self._close()
        else:
            self._timer.set(time.monotonic() + CLOSE_SECONDS)

    def _look(self) -> None:
        """End the call at the deadline of the client; cut it if the client does not take its end."""
        if self.ending is None:
            self.end(CloseReason.DEADLINE)
        else:
            cut(self._client)

    def _moved(self) -> None:
        if self.ending is not None and self._output.is_empty:
            self._close()

    def _vanish(self) -> None:
        """Note that the client has left, or that it must be cut off."""
        if self.ending is None:
            self.ending = Ending(CloseReason.CLIENT_GONE.value, None)
        self._close()

    def _close(self) -> None:
        """Let go of the stream."""
        if self._is_closed:
            return
        self._is_closed = True
        self._calls.remove(self)
        self._timer.stop()
        self._output.close()
        self._line.close()
        if self._on_closed is not None and self._begin is None:
            self._on_closed()

    def stop(self) -> None:
        """Stop its subscriptions, after the end. Switches."""
        for held in list(self._held):
            held.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """Go on, or end the call, and stop its subscriptions. Switches in the second case."""
        begin, self._begin = self._begin, None
        if error is None and begin is not None:
            begin()
            if self._is_closed and self._on_closed is not None:
                self._on_closed()
            return False
        self._on_closed = None
        if error is None:
            self.close(CloseReason.FINISHED)
        elif isinstance(error, Exception):
            self.end_by(error)
        else:  # the worker kills the greenlet
            self.fail()
        self.stop()
        return isinstance(error, Exception)


def can_go_on(environ: dict[str, Any]) -> bool:
    """Tell whether a call can go on after its request: it has come by HTTP/2."""
    return has_trailers(environ) and KEY in environ
