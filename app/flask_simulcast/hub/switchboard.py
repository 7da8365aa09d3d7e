"""Switchboard: the channels and audiences of this worker: which audience listens to which channel, and its position."""

from __future__ import annotations

from gevent.event import Event as Flag

from ..audience import Audience
from ..channel import Channel
from ..event import ALL, Event, Position
from ..listener import Listener
from .pump import Pump


class Switchboard:
    """The channels and audiences of the live listeners. Each is removed with its last listener. Nothing here switches.

    Args:
        pump: How far this worker has read.

    Attributes:
        channels: Channels by name.
        audiences: Audiences by key: listeners with the same key get the same bytes.
        pass_due: Set when an audience has its first frame for the next pass, or a listener waits for one.
    """

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._pending: list[Audience] = []
        self.channels: dict[str, Channel] = {}
        self.audiences: dict[tuple[object, ...], Audience] = {}
        self.pass_due = Flag()

    def goal(self, listener: Listener) -> Position:
        """Return the position up to which the listener's audience has handed out events; without an audience, the hub's."""
        audience = self.audiences.get(listener.audience_key)
        position = self._pump.position
        return position if audience is None else audience.position(position)

    def join(self, listener: Listener) -> None:
        """Make a listener live. Its position must be its audience's."""
        audience = self.audiences.get(listener.audience_key)
        if audience is None:
            audience = self._make_audience(listener)
        audience.members[listener] = None
        listener.go_live(audience.position(self._pump.position), audience.channels)

    def leave(self, listener: Listener) -> None:
        """Remove a listener from its audience, if it is a member."""
        audience = self.audiences.get(listener.audience_key)
        if audience is not None:
            audience.members.pop(listener, None)
            self._drop_if_empty(audience)

    def offer_to(self, listener: Listener, event: Event) -> None:
        """Give a live listener an event that is for it alone. Raises what its view raises."""
        self.audiences[listener.audience_key].offer_to(listener, event)

    def take_pending(self) -> list[Audience]:
        """Return the audiences with pending frames for this pass. Those that become pending from now on are for the next."""
        pending, self._pending = self._pending, []
        return pending

    def scatter(self) -> None:
        """Drop all pending frames, all members and all audiences."""
        for audience in list(self.audiences.values()):
            audience.scatter()
            self._drop_if_empty(audience)

    def _make_audience(self, listener: Listener) -> Audience:
        position = self._pump.position
        audience = Audience(listener.channels, listener.encoding, listener.view, position, self._becomes_pending)
        self.audiences[listener.audience_key] = audience
        for name in {*audience.channels, ALL}:
            channel = self.channels.get(name)
            if channel is None:
                channel = self.channels[name] = Channel(name)
            channel.add(audience)
        return audience

    def _becomes_pending(self, audience: Audience) -> None:
        """Note an audience that has its first frame for the next pass. Its position is the hub's before that frame's event."""
        audience.stand_at(self._pump.position)
        if not self._pending:
            self.pass_due.set()
        self._pending.append(audience)

    def _drop_if_empty(self, audience: Audience) -> None:
        if audience.members:
            return
        audience.drop_pending()
        del self.audiences[audience.channels, audience.encoding, audience.view]
        for name in {*audience.channels, ALL}:
            channel = self.channels[name]
            channel.remove(audience)
            if channel.is_empty:
                del self.channels[name]
