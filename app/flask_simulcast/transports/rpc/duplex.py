"""Duplex: a call that streams in both directions. To its handler and its subscriptions it is what a WebSocket is.

The handler runs in the view, as that of a WebSocket does: it reads the client's messages, and sends. Subscriptions send beside it.
Bytes that the client's windows do not take wait in an `Output`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

import gevent
from flask import Request
from gevent import get_hub
from google.protobuf.message import Message

from ...close_reason import CloseReason
from ...encoding.rpc.codes import CallError, Code, ending_of
from ...errors import ConnectionClosedError
from ...settings import Settings
from ..client_socket import cut, socket_of
from ..handover import has_trailers
from ..line import Line
from ..output import Output
from ..subscription import Subscription
from ..websocket.limits import CLOSE_SECONDS, Bucket
from ..writer.start_response import KEY, Gate
from .call import Call

M = TypeVar("M", bound=Message)

_BUG = CallError(Code.INTERNAL, "The server failed. Its log says why.")
_TOO_FAST = "Messages come faster than {rate:g} a second. Send them slower."


class Ending(NamedTuple):
    """How a call ends.

    Attributes:
        name: As in `CloseReason`, or ``call`` if its handler ended it.
        error: What the client is told; None if it has left.
    """

    name: str
    error: CallError | None


class DuplexCall:
    """One call in both directions. Its response begins here. Use it in a ``with`` block, which ends the call.

    Args:
        call: The call.
        request: Its request.
        settings: The settings of the app.
        messages_per_second: Rate limit of the client's messages; None for ``SIMULCAST_WEBSOCKET_RATE``.

    Raises:
        CallError: UNIMPLEMENTED: the request did not come by HTTP/2.
    """

    def __init__(
        self, call: Call, request: Request, settings: Settings, *, messages_per_second: float | None = None
    ) -> None:
        environ = request.environ
        if not has_trailers(environ) or KEY not in environ:
            raise CallError(
                Code.UNIMPLEMENTED,
                "This call streams in both directions, which needs HTTP/2. Use a client that speaks it.",
            )
        self.ending: Ending | None = None
        self._call = call
        self._stall_seconds = settings.stall_seconds
        self._rate = settings.websocket_rate if messages_per_second is None else messages_per_second
        self._messages = Bucket(self._rate, time.monotonic())
        self._held: list[Subscription] = []
        gate: Gate = environ[KEY]
        gate.take([("Content-Type", call.dialect.content_type)])(b"")
        self._client = socket_of(environ)
        self._client.watch(self._vanish)
        self._line: Line = self._client.line()
        self._output = Output(self._line, settings.queue_bytes, on_moved=self._moved, on_broken=self._vanish)
        self._cutter: Any = None
        self._is_closed = False

    # Its handler

    def messages(self, kind: type[M]) -> Iterator[M]:
        """Yield the messages of the client as they come, until the client ends its side, or the call ends. Switches.

        Raises:
            CallError: One can't be read, or they come too fast.
        """
        try:
            for message in self._call.messages(kind):
                if self.ending is not None:
                    return
                if not self._messages.take(1, time.monotonic()):
                    raise CallError(Code.RESOURCE_EXHAUSTED, _TOO_FAST.format(rate=self._rate))
                yield message
        except CallError:
            if self.ending is None:
                raise

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
        with gevent.Timeout(self._stall_seconds, False):  # type: ignore[arg-type]
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

    # The end. The first ending stays; nothing here switches

    def close(self, reason: CloseReason) -> None:
        """End the call for this reason, after what was sent before."""
        if reason in (CloseReason.CLIENT_GONE, CloseReason.STALLED):
            self._end(Ending(reason.value, None))
        else:
            self._end(Ending(reason.value, ending_of(reason.value)))

    def fail(self) -> None:
        """End the call because of a bug."""
        self._end(Ending("bug", _BUG))

    def end(self, error: CallError) -> None:
        """End the call with this error."""
        self._end(Ending("call", error))

    def _end(self, ending: Ending) -> None:
        if self.ending is not None:
            return
        self.ending = ending
        if ending.error is None:
            self._vanish()
            return
        last = self._line.in_body(self._call.dialect.end(ending.error)) + self._line.end()
        if last:
            self._output.put(last)
        self._output.release()
        if self._output.is_empty:
            self._close()
        else:
            self._cutter = get_hub().loop.timer(CLOSE_SECONDS)
            self._cutter.start(cut, self._client)

    def _moved(self) -> None:
        if self.ending is not None and self._output.is_empty:
            self._close()

    def _vanish(self) -> None:
        """Note that the client has left, or that it must be cut off."""
        if self.ending is None:
            self.ending = Ending(CloseReason.CLIENT_GONE.value, None)
        self._close()

    def _close(self) -> None:
        """Let go of the stream. The handler's read ends with it."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._cutter is not None:
            self._cutter.close()
        self._output.close()
        self._line.close()

    def __enter__(self) -> DuplexCall:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """End the call, and stop its subscriptions. Switches."""
        if error is None:
            self.close(CloseReason.FINISHED)
        else:
            self.fail()
        for held in list(self._held):
            held.stop()
