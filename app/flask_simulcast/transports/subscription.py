"""Subscription: one listener of a connection in both directions, which can have several, each with its own channels, position and
verdict. Such a connection is a WebSocket, or a call of RPC that streams in both directions.

A greenlet takes the listener's chunks from the hub and sends them, until the listener is live and has nothing to send. Then it ends.
From then on the hub's chunks go straight to the connection. If the client is slow and a chunk would have to wait, the listener
catches up again, with a greenlet, from history: memory for it stays bounded, and nothing is lost. A caller's own function, which
might wait, gets each chunk in a greenlet that ends when nothing more is there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import gevent

from ..close_reason import CloseReason
from ..errors import ConnectionClosedError
from ..event import Event, Position
from ..hub.hub import Hub
from ..listen_request import ListenRequest
from ..listener import Listener

# Seconds that `stop` waits for a client to take the chunk that is being sent.
_STOP_SECONDS = 2.0
_REASONS = {reason.value: reason for reason in CloseReason}

_log = logging.getLogger("flask_simulcast")


@dataclass(frozen=True)
class OnlyThese:
    """A view for a client's second and further listeners. It drops events for all or for one user, which the client would
    otherwise get once for each listener.

    Args:
        channels: The channels of the listener.
    """

    channels: frozenset[str]

    def __call__(self, event: Event) -> Event | None:
        """Return the event unchanged if it is of these channels."""
        return event if event.channel in self.channels else None


class Ending(Protocol):
    """Why a connection ended."""

    @property
    def name(self) -> str:
        """One of a fixed set of names, which has those of `CloseReason`."""


class Duplex(Protocol):
    """What a subscription needs of its connection."""

    @property
    def ending(self) -> Ending | None:
        """Why the connection ends; None while it is open."""

    @property
    def line(self) -> int:
        """Number of the connection, if it is shared with others; else 0."""

    def send_frame(self, frame: bytes) -> None:
        """Send a finished frame; wait if there is no room for it. Raises `ConnectionClosedError` once it has ended. Switches."""

    def send_at_once(self, frame: bytes) -> bool:
        """Send a finished frame if there is room for it now. Return False if there is none. Does not switch."""

    def close(self, reason: CloseReason, /) -> None:
        """Close for this reason. The first ending stays. Does not switch."""

    def fail(self) -> None:
        """Close because of a bug. Does not switch."""

    def hold(self, held: Subscription) -> None:
        """Stop a subscription when the connection has ended, in case its handler forgets to."""

    def let_go(self, held: Subscription) -> None:
        """Forget a subscription that was stopped."""


class Subscription:
    """Adds a listener to the hub. Nothing is sent until `start`. May switch.

    As a context manager it sends until its block ends.

    Args:
        hub: The hub of the listener.
        ws: The connection to send to. If the listener is closed by anything but `stop`, the connection closes with the
            same reason.
        request: The channels, rights and position of the listener.
        send: Called with each chunk of one or more frames, in a greenlet and outside the request; its ``send_frame`` if left out.
        is_beside: Whether the connection has another one, and stays open when this one's run has ended.

    Attributes:
        listener: The listener.

    Raises:
        ListenError: There is no room.
        BrokerUnavailableError: The log can't be read.
    """

    __slots__ = (
        "_first", "_greenlet", "_hub", "_is_beside", "_is_started", "_is_stopped", "_position", "_send", "_ws", "listener",
    )  # fmt: skip

    def __init__(
        self,
        hub: Hub,
        ws: Duplex,
        request: ListenRequest,
        send: Callable[[bytes], object] | None = None,
        *,
        is_beside: bool = False,
    ) -> None:
        self._hub = hub
        self._is_beside = is_beside
        self._ws = ws
        self._send = send
        self._greenlet: gevent.Greenlet[[], None] | None = None
        self._is_started = False
        self._is_stopped = False
        self.listener = listener = Listener(request, on_cut=self._cut)
        try:
            self._first = hub.add_listener(listener) + request.prelude
        except BaseException:
            hub.remove_listener(listener)  # the call might have failed halfway
            raise
        self._position: Position | None = listener.position
        ws.hold(self)

    @property
    def is_over(self) -> bool:
        """Whether its listener was closed."""
        return self.listener.close_reason is not None

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels of the listener."""
        return self.listener.channels

    @property
    def position(self) -> Position:
        """The position up to which the connection has received everything."""
        return self.listener.position if self._position is None else self._position

    def start(self) -> None:
        """Start to send. A second call does nothing."""
        if not self._is_started:
            self._is_started = True
            self._go_on()

    def stop(self) -> None:
        """End the subscription, and leave the connection open. Afterwards `position` is where it ended. Switches.

        Queued events are not sent. A chunk that is being sent gets two seconds to finish.
        """
        self._is_stopped = True
        self.listener.close(self._reason())
        if self._greenlet is not None:
            self._greenlet.join(_STOP_SECONDS)
            self._greenlet.kill()
        self._hub.remove_listener(self.listener)
        self._ws.let_go(self)

    def __enter__(self) -> Listener:
        self.start()
        return self.listener

    def __exit__(self, *_: object) -> None:
        self.stop()

    # For the parked listener. Nothing here switches

    def send_straight(self, chunk: bytes) -> bool:
        """Send a chunk at once. Return False if there is no room for it."""
        return self._ws.send_at_once(chunk)

    def woken(self) -> None:
        """Send in a greenlet again."""
        self._go_on()

    def _go_on(self) -> None:
        """Send in a greenlet. From here on the listener's position might be ahead of what the connection has received."""
        self._position = self.position
        self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        """Send until the listener is parked, or it or the connection is closed. This greenlet then removes the listener,
        because the hub might be in the middle of a step of it."""
        listener, ws = self.listener, self._ws
        is_parked = False
        try:
            is_parked = self._pump()
        except ConnectionClosedError:
            listener.close(self._reason())
        except Exception:
            _log.exception("The chunks of a subscription could not be sent. Fix the cause; its connection was closed.")
            ws.fail()
        finally:
            if not is_parked:
                self._hub.remove_listener(listener)
        if is_parked or self._is_stopped or listener.close_reason is None:
            return
        if not (self._is_beside and listener.close_reason is CloseReason.FINISHED):
            ws.close(listener.close_reason)

    def _pump(self) -> bool:
        """Send chunks; return True if the listener is parked, False if it is closed."""
        hub, listener = self._hub, self.listener
        send = self._send or self._ws.send_frame
        first, self._first = self._first, b""
        if first:
            listener.writes(first)
            send(first)
        is_straight = self._send is None  # the caller's own send function might switch, so it needs a greenlet
        while listener.close_reason is None:
            chunk = hub.next_chunk(listener, waits=False)
            if chunk:
                send(chunk)
                self._position = listener.position
            elif listener.park(self, line=self._ws.line, is_straight=is_straight):
                self._greenlet = self._position = None
                return True
        return False

    def _reason(self) -> CloseReason:
        """Return why the listener ends, from the ending of the connection. A close by the client counts as client gone."""
        ending = self._ws.ending
        return CloseReason.FINISHED if ending is None else _REASONS.get(ending.name, CloseReason.CLIENT_GONE)

    def _cut(self) -> None:
        """Close the connection: the hub has closed the listener, but the client does not take its chunk. The close frame goes
        out after that chunk, or is cut with it."""
        self._ws.close(self.listener.close_reason or CloseReason.STALLED)
