"""Subscription: one listener of a WebSocket that may have several, each with its own channels, position and gap verdict.

A greenlet takes what the hub has for the listener and sends it, until the listener is live and has nothing to send; from then on
the hub's chunks go straight to the connection, and there is no greenlet. When the client is slow and a chunk would have to wait,
the listener is catching up again, with a greenlet, from history: what is held for it stays the same, and nothing is lost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import gevent

from ...errors import ConnectionClosedError
from ...event import Event, Position
from ...hub.hub import Hub
from ...listen_request import ListenRequest
from ...listener import CloseReason, Listener
from .connection import Connection

# A chunk that is on its way is sent before a subscription ends; whoever does not take it for so long is not waited for.
_STOP_SECONDS = 2.0
_BUG = 1011
_REASONS = {reason.value: reason for reason in CloseReason}

_log = logging.getLogger("flask_simulcast")


@dataclass(frozen=True)
class OnlyThese:
    """A view for a listener beside another one of the same client: without what goes to everyone, or to one user, which the
    client would have as often as it has listeners.

    Args:
        channels: Of the listener.
    """

    channels: frozenset[str]

    def __call__(self, event: Event) -> Event | None:
        """The event as it is, if it is of these channels."""
        return event if event.channel in self.channels else None


class Subscription:
    """Takes a listener on. `start` begins to send; until then nothing but what comes first is there. May switch.

    As a context manager it sends until its block ends.

    Args:
        hub: Takes the listener on.
        ws: Gets what it has. If the listener is closed by somebody else than `stop`, it is closed with the code of that.
        request: What the client asks for.
        send: Called with each chunk, some frames in a row; `Connection.send_frame` when left out.

    Attributes:
        listener: Whose place it is.

    Raises:
        ListenError: No room.
        BrokerUnavailableError: The log can't be read.
    """

    __slots__ = ("_first", "_greenlet", "_hub", "_is_started", "_is_stopped", "_position", "_send", "_ws", "listener")

    def __init__(
        self,
        hub: Hub,
        ws: Connection,
        request: ListenRequest,
        send: Callable[[bytes], object] | None = None,
    ) -> None:
        self._hub = hub
        self._ws = ws
        self._send = send
        self._greenlet: gevent.Greenlet[[], None] | None = None
        self._is_started = False
        self._is_stopped = False
        self.listener = listener = Listener(request, on_cut=self._cut)
        try:
            self._first = hub.add_listener(listener) + request.prelude
        except BaseException:
            hub.remove_listener(listener)  # it may have failed half-way
            raise
        self._position: Position | None = listener.position
        ws.hold(self)

    @property
    def channels(self) -> tuple[str, ...]:
        """Of its listener."""
        return self.listener.channels

    @property
    def position(self) -> Position:
        """Up to which everything was handed to the connection."""
        return self.listener.position if self._position is None else self._position

    def start(self) -> None:
        """Begin to send. May be called twice."""
        if not self._is_started:
            self._is_started = True
            self._go_on()

    def stop(self) -> None:
        """End it, and leave the connection open; afterwards `position` is where it was left. Switches.

        Events that wait in a queue are not sent any more; a chunk that is on its way is, or it takes two seconds.
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

    def _go_on(self) -> None:
        """In a greenlet. What the listener has is, from now on, perhaps more than the connection was handed."""
        self._position = self.position
        self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        """Until nothing is to be done, or the listener is closed, or the connection. It is this greenlet that gives the place
        back: the hub may be in the middle of a step of its listener."""
        listener, ws = self.listener, self._ws
        is_parked = False
        try:
            is_parked = self._pump()
        except ConnectionClosedError:
            listener.close(self._reason())
        except Exception:
            _log.exception("What a listener was to be sent could not be sent. Repair it; the client got 1011.")
            ws.close(_BUG)  # the first ending stays
        finally:
            if not is_parked:
                self._hub.remove_listener(listener)
        if not is_parked and not self._is_stopped and listener.close_reason is not None:
            ws.close(listener.close_reason)

    def _pump(self) -> bool:
        """Returns whether the listener is parked; else it is closed."""
        hub, listener = self._hub, self.listener
        send = self._send or self._ws.send_frame
        first, self._first = self._first, b""
        if first:
            listener.writes(first)
            send(first)
        may_park = self._send is None  # chunks that somebody else writes need a greenlet: it may switch
        while listener.close_reason is None:
            chunk = hub.next_chunk(listener, waits=not may_park)
            if chunk:
                send(chunk)
                self._position = listener.position
            elif listener.park(self._ws.send_at_once, self._go_on):
                self._greenlet = self._position = None
                return True
        return False

    def _reason(self) -> CloseReason:
        """Why it ends, by what became of the connection: a client's own goodbye is that it is gone."""
        ending = self._ws.ending
        return CloseReason.FINISHED if ending is None else _REASONS.get(ending.name, CloseReason.CLIENT_GONE)

    def _cut(self) -> None:
        """The hub has closed the listener, and its chunk is not taken: a close frame goes out behind it, or is cut with it."""
        self._ws.close(self.listener.close_reason or CloseReason.STALLED)
