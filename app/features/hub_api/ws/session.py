"""Session: one connection to ``/ws``: the commands of its client, and its subscriptions."""

from __future__ import annotations

import time
from collections.abc import Collection

from msgspec import UNSET, Struct

from ....extensions import simulcast
from ....flask_simulcast import (
    CloseReason,
    Connection,
    ConnectionClosedError,
    IdempotencyKey,
    SimulcastError,
    Subscription,
    client_input,
)
from ....flask_simulcast.errors import BrokerError, DrainingError, ListenError
from ....identity.sender import current_sender
from ....web import limits, reads
from ....web.conversation import Handlers, converse, say
from ....web.errors import ApiError
from .. import access, service
from ..schemas import StreamQuery
from . import commands, messages
from .commands import AnyCommand

_TRY_AGAIN_LATER = 1013


class Session:
    """One connection. It is made in the request that opened it, and used only in that greenlet.

    Args:
        ws: The connection.
        base: Its own listener: for events to everyone, to its user and to it, and for the channels in the URL.
    """

    __slots__ = ("_base", "_subscriptions", "_ws")

    def __init__(self, ws: Connection, base: Subscription) -> None:
        self._ws = ws
        self._base = base
        self._subscriptions = [base]

    @classmethod
    def open(cls, ws: Connection, asked: StreamQuery) -> Session:
        """Add the connection as a listener. May switch.

        Args:
            asked: The query of the URL.

        Raises:
            ConnectionClosedError: There was no room after the handshake, or the log can't be read: the connection was closed.
        """
        replay = None if asked.replay is UNSET else asked.replay
        try:
            base = simulcast.subscribe(ws, asked.names, resume=asked.last_event_id or None, replay=replay)
        except (ListenError, BrokerError) as error:
            ws.close(_closing_of(error))
            raise ConnectionClosedError(1006, "") from error
        return cls(ws, base)

    def run(self) -> None:
        """Answer one command after another, until the connection ends. Switches.

        Raises:
            ConnectionClosedError: The connection has ended.
        """
        handlers: Handlers[AnyCommand] = {
            commands.Subscribe: self._subscribe,
            commands.Unsubscribe: self._unsubscribe,
            commands.Publish: self._publish,
            commands.History: self._history,
            commands.Presence: self._presence,
            commands.Ping: self._ping,
        }
        try:
            self._greet()
            converse(self._ws, commands.COMMANDS, handlers, self._start)
        finally:
            for subscription in self._subscriptions:
                subscription.stop()

    def _greet(self) -> None:
        listener = self._base.listener
        position = str(self._base.position)
        say(self._ws, messages.Connected(listener.id, listener.grant.user, list(listener.channels), position))
        self._start()

    def _start(self) -> None:
        """Start new subscriptions, after the reply, so that their first event follows it."""
        for subscription in self._subscriptions:
            subscription.start()

    # Commands

    def _subscribe(self, command: commands.Subscribe) -> messages.Subscribed:
        names = command.names
        self._check_new(names)
        position = None if command.position is UNSET else command.position
        subscription = self._add(names, position, None if command.replay is UNSET else command.replay)
        return messages.Subscribed(subscription.listener.id, list(subscription.channels), str(subscription.position))

    def _unsubscribe(self, command: commands.Unsubscribe) -> messages.Unsubscribed:
        unwanted = set(command.names)
        others = self._subscriptions[1:]
        missing = sorted(unwanted.difference(*(each.channels for each in others)))
        if missing:
            raise ApiError(
                400, "not_subscribed", f"There is no subscription to {missing[0][:128]!a}. What the URL names stays."
            )
        return messages.Unsubscribed(
            [self._leave(each, unwanted) for each in others if not unwanted.isdisjoint(each.channels)]
        )

    def _publish(self, command: commands.Publish) -> Struct:
        access.PUBLISH.require({"channel": command.channel})
        limits.check_publish(1)
        key = None if command.idempotency_key is UNSET else IdempotencyKey(command.idempotency_key, current_sender())
        with client_input():
            event = simulcast.publish(command.channel, command.data, type=command.event, idempotency_key=key)
        return service.published(event)

    def _history(self, command: commands.History) -> Struct:
        access.HISTORY.require({"channel": command.channel})
        return service.history_page(reads.history(command.channel, after=command.after or None, limit=command.limit))

    def _presence(self, command: commands.Presence) -> Struct:
        access.PRESENCE.require({"channel": command.channel})
        return service.members_page(command.channel, command.after, command.limit)

    def _ping(self, _: commands.Ping) -> messages.Pong:
        return messages.Pong(
            time.time_ns() // 1_000_000,
            [
                messages.Standing(each.listener.id, list(each.channels), str(each.position))
                for each in self._subscriptions
            ],
        )

    # Subscriptions

    def _check_new(self, names: list[str]) -> None:
        """Check that these channels can be added. A channel that the connection has already would be sent twice; a run that
        has ended sends nothing further."""
        for ended in [each for each in self._subscriptions if each.is_over]:
            ended.stop()
            self._subscriptions.remove(ended)
        has = {name for each in self._subscriptions for name in each.channels}
        twice = sorted((has | {"all", *self._base.listener.personal}).intersection(names))
        if twice:
            raise ApiError(
                400, "already_subscribed", f"This connection gets {twice[0][:128]!a} already. Unsubscribe it first."
            )
        most = simulcast.settings.max_channels_per_listener
        if len(has.union(names)) > most:
            raise ApiError(
                400, "channel_count", f"A connection may have {most} channels. Unsubscribe some, or open another one."
            )

    def _add(self, names: Collection[str], position: str | None, replay: int | None = None) -> Subscription:
        subscription = simulcast.subscribe(self._ws, names, resume=position, replay=replay, is_beside=True)
        self._subscriptions.append(subscription)
        return subscription

    def _leave(self, subscription: Subscription, unwanted: set[str]) -> messages.Left:
        """End a subscription, and subscribe to the rest of its channels, if there is a rest, from its position."""
        subscription.stop()
        self._subscriptions.remove(subscription)
        position = str(subscription.position)
        rest = set(subscription.channels) - unwanted
        if rest:
            try:
                self._add(rest, position)
            except SimulcastError:
                # The client has lost channels that it did not leave. It reconnects, and resumes all of them.
                self._ws.close(CloseReason.BROKER_LOST)
                raise
        return messages.Left(sorted(unwanted.intersection(subscription.channels)), position)


def _closing_of(error: ListenError | BrokerError) -> CloseReason | int:
    """Return the close code or reason for a refusal after the handshake, when no HTTP status is possible."""
    if isinstance(error, DrainingError):
        return CloseReason.DRAINING
    return CloseReason.BROKER_LOST if isinstance(error, BrokerError) else _TRY_AGAIN_LATER
