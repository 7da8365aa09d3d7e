"""Subscriptions: those of one connection in both directions, a WebSocket or a call of RPC, as its client adds and leaves them.

The first one is the connection's own: it has the events for everyone, for the user and for the connection, and stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple, Protocol, Unpack

from .close_reason import CloseReason
from .errors import AlreadySubscribedError, ChannelCountError, NotSubscribedError, SimulcastError, client_input
from .event import ALL
from .settings import Settings
from .transports.response import StreamOptions
from .transports.subscription import Duplex, Subscription


class Owner(Protocol):
    """The part of `Simulcast` that this module uses."""

    @property
    def settings(self) -> Settings:
        """The current app's settings."""

    def subscribe(
        self, ws: Duplex, channels: Collection[str], *, is_beside: bool = False, **options: Unpack[StreamOptions]
    ) -> Subscription:
        """Return one of several listeners of a connection."""


_NO_OPTIONS: StreamOptions = {}


class Left(NamedTuple):
    """Channels that were left at one position.

    Attributes:
        channels: Their names, sorted.
        position: Position from which they can be resumed without a gap.
    """

    channels: list[str]
    position: str


class Subscriptions:
    """The subscriptions of one connection, used in one request. Iterate over it for all of them, the connection's own first.

    Args:
        simulcast: The extension.
        ws: The connection.
        channels, resume, replay: Of the connection's own subscription, as in `Simulcast.sse`.
        options: Of all subscriptions, in the same way.

    Raises:
        UnauthorizedError, ForbiddenError, ListenError, BrokerUnavailableError: As in `Simulcast.subscribe`.
    """

    __slots__ = ("_base", "_options", "_others", "_simulcast", "_ws")

    def __init__(
        self,
        simulcast: Owner,
        ws: Duplex,
        channels: Collection[str],
        *,
        resume: str | None = None,
        replay: int | None = None,
        options: StreamOptions | None = None,
    ) -> None:
        self._simulcast = simulcast
        self._ws = ws
        self._options = options or _NO_OPTIONS
        self._base = simulcast.subscribe(ws, channels, **self._options | {"resume": resume, "replay": replay})
        self._others: tuple[Subscription, ...] = ()  # most connections add none

    def __iter__(self) -> Iterator[Subscription]:
        return iter((self._base, *self._others))

    @property
    def base(self) -> Subscription:
        """The connection's own subscription."""
        return self._base

    def start(self) -> None:
        """Start new subscriptions, after the reply, so that their first event follows it."""
        for subscription in self:
            subscription.start()

    def stop(self) -> None:
        """Stop all of them. Switches."""
        for subscription in self:
            subscription.stop()

    def add(self, channels: Collection[str], *, resume: str | None, replay: int | None = None) -> Subscription:
        """Add a subscription to these channels, with one position. Nothing is sent until `start`. May switch.

        Raises:
            AlreadySubscribedError: The connection has one of them already.
            ChannelCountError: It would have too many.
            UnauthorizedError, ForbiddenError, ListenError, BrokerUnavailableError: As in `Simulcast.subscribe`.
        """
        self._check_new(channels)
        return self._open(channels, resume, replay)

    def leave(self, channels: Collection[str]) -> list[Left]:
        """Leave these channels. Other channels of their subscriptions go on from where they were. Switches.

        Raises:
            NotSubscribedError: The connection has no subscription to one of them.
        """
        unwanted = set(channels)
        missing = sorted(unwanted.difference(*(each.channels for each in self._others)))
        if missing:
            raise NotSubscribedError(missing[0])
        return [self._leave(each, unwanted) for each in self._others if not unwanted.isdisjoint(each.channels)]

    def _check_new(self, names: Collection[str]) -> None:
        """Check that these channels can be added. A channel that the connection has already would be sent twice; a run that
        has ended sends nothing further."""
        for ended in [each for each in self._others if each.is_over]:
            ended.stop()
            self._forget(ended)
        has = {name for each in self for name in each.channels}
        twice = sorted((has | {ALL, *self._base.listener.personal}).intersection(names))
        if twice:
            raise AlreadySubscribedError(twice[0])
        most = self._simulcast.settings.max_channels_per_listener
        if len(has.union(names)) > most:
            with client_input():
                raise ChannelCountError(
                    f"A connection may have {most} channels. Unsubscribe some, or open another one."
                )

    def _open(self, channels: Collection[str], resume: str | None, replay: int | None = None) -> Subscription:
        options = self._options | {"resume": resume, "replay": replay}
        subscription = self._simulcast.subscribe(self._ws, channels, is_beside=True, **options)
        self._others += (subscription,)
        return subscription

    def _forget(self, subscription: Subscription) -> None:
        self._others = tuple(each for each in self._others if each is not subscription)

    def _leave(self, subscription: Subscription, unwanted: set[str]) -> Left:
        """End a subscription, and subscribe to the rest of its channels, if there is a rest, from its position."""
        subscription.stop()
        self._forget(subscription)
        position = str(subscription.position)
        rest = set(subscription.channels) - unwanted
        if rest:
            try:
                self._open(rest, position)
            except SimulcastError:
                # The client has lost channels that it did not leave. It reconnects, and resumes all of them.
                self._ws.close(CloseReason.BROKER_LOST)
                raise
        return Left(sorted(unwanted.intersection(subscription.channels)), position)
