"""Served: what the client of a call sends after the call's handler has returned.

A call that is idle has no greenlet and no request. A message starts a greenlet, which hands on this one and those that come
meanwhile, one at a time; it ends when none has come for a moment. Bytes of later messages wait in the stream's window.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import gevent
from gevent.event import Event as Flag
from google.protobuf.message import Message

from ...close_reason import CloseReason
from ...encoding.rpc.codes import CallError, Code
from ..kept_request import KeptRequest
from ..reaper import Reaper
from ..timer import Timer
from ..websocket.limits import Bucket
from . import body
from .call import Call

if TYPE_CHECKING:
    from .duplex import DuplexCall

M = TypeVar("M", bound=Message)

# How long a greenlet waits for the next message. To begin one anew, with the contexts of its request, takes 150 µs.
_STAY_SECONDS = 0.1
_TOO_FAST = "Messages come faster than {rate:g} a second. Send them slower."

_reaper = Reaper()


class Source(Protocol):
    """The client's side of a stream. Nothing here switches."""

    def receive_by(self, on_came: Callable[[], object] | None) -> None:
        """Call a function when bytes have come, or their end."""

    def received(self) -> bytes:
        """Return what has come."""

    @property
    def is_received(self) -> bool:
        """Whether the client has sent everything."""


class Served(Generic[M]):
    """The client's side of one call; `DuplexCall.serve` has the arguments."""

    __slots__ = (
        "_call", "_duplex", "_is_busy", "_is_closed", "_is_draining", "_kind", "_messages", "_more", "_next", "_on_close",
        "_on_end", "_on_message", "_rate", "_received", "_request", "_source", "_timer",
    )  # fmt: skip

    def __init__(
        self,
        duplex: DuplexCall,
        call: Call,
        source: Source,
        request: KeptRequest,
        rate: float,
        kind: type[M],
        on_message: Callable[[M], object],
        on_end: Callable[[], object] | None,
        on_close: Callable[[], object] | None,
    ) -> None:
        self._duplex = duplex
        self._call = call
        self._source = source
        self._request = request
        self._rate = rate
        self._messages = Bucket(rate)
        self._kind = kind
        self._on_message = on_message
        self._on_end = on_end
        self._on_close = on_close
        self._received = bytearray()
        self._next: M | CallError | None = None
        self._more: Flag | None = None
        self._timer = Timer(self._is_too_slow)
        self._is_busy = True  # a greenlet is there for it: until the start it is that of the call's own handler
        self._is_closed = False
        self._is_draining = False

    def start(self) -> None:
        """Take what has come, and what comes from now on. Does not switch."""
        self._is_busy = False
        self._call.let_go()
        self._source.receive_by(self._go_on)
        self._go_on()

    def closed(self) -> None:
        """Note that the call is closed: its handler is told, and everything given back. Does not switch."""
        self._is_closed = True
        self._go_on()

    def drain(self) -> None:
        """End the call before its next message, because the worker stops; without an error if the client has ended its side, and
        every message was handled. Does not switch."""
        self._is_draining = True
        self._go_on()

    def _go_on(self) -> None:
        """Take the next step, unless a greenlet is there, which will. Does not switch."""
        if self._is_busy:
            if self._more is not None:
                self._more.set()
        elif self._is_closed:
            self._is_busy = True  # for ever
            self._source.receive_by(None)
            self._timer.stop()
            if self._on_close is None:
                _reaper.put(self._release)
            else:
                gevent.spawn(self._release)
        elif self._duplex.ending is None and (self._is_draining or self._has_next() or self._source.is_received):
            self._is_busy = True
            gevent.spawn(self._hand_on)

    def _has_next(self) -> bool:
        """Return whether there is a message in what has come, or an error in its place."""
        try:
            self._next = self._taken()
            if self._next is None:  # not earlier: to read lets the client send as much again
                self._received += self._source.received()
                self._next = self._taken()
        except CallError as error:
            self._next = error
        if self._next is None and self._received and not self._source.is_received:
            self._timer.start(time.monotonic() + body.MESSAGE_SECONDS)
        else:
            self._timer.stop()
        return self._next is not None

    def _taken(self) -> M | None:
        return self._call.taken_from(self._received, self._kind)

    def _is_too_slow(self) -> None:
        self._duplex.end_by(CallError(Code.DEADLINE_EXCEEDED, body.TOO_SLOW))

    # In a greenlet

    def _hand_on(self) -> None:
        """Hand on the messages that are there, until there is none."""
        try:
            self._request.call(self._hand_on_all)
        except BaseException:  # the worker kills the greenlet
            self._duplex.fail()
            raise
        finally:
            self._is_busy = False
            self._go_on()

    def _hand_on_all(self) -> None:
        try:
            while self._duplex.ending is None and self._waits_for_next():
                self._hand_on_next()
            if self._duplex.ending is None and self._source.is_received:
                self._finish()
            elif self._is_draining:
                self._duplex.end(CloseReason.DRAINING)
        except Exception as error:
            self._duplex.end_by(error)

    def _waits_for_next(self) -> bool:
        """Wait for a message for a moment; return whether there is one, or an error in its place."""
        if self._next is not None or self._has_next():
            return True
        if self._source.is_received or self._is_draining:
            return False
        self._more = Flag()
        self._more.wait(_STAY_SECONDS)
        self._more = None
        return self._has_next()

    def _hand_on_next(self) -> None:
        if self._is_draining:
            self._duplex.end(CloseReason.DRAINING)
            return
        message, self._next = self._next, None
        if isinstance(message, CallError):
            raise message
        if not self._messages.take(1, time.monotonic()):
            raise CallError(Code.RESOURCE_EXHAUSTED, _TOO_FAST.format(rate=self._rate))
        assert message is not None
        self._on_message(message)

    def _finish(self) -> None:
        if self._received:
            raise body.cut_off()
        if self._on_end is not None:
            self._on_end()
        self._duplex.close(CloseReason.FINISHED)

    def _release(self) -> None:
        try:
            if self._on_close is not None:
                self._request.call(self._on_close)
        finally:
            self._duplex.stop()
