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
    """Made in the request that opened the connection, and used in its greenlet alone.

    Args:
        ws: The connection.
        base: Its own place: what goes to everyone, to its user, or to it, and the channels of the URL.
    """

    __slots__ = ("_base", "_subscriptions", "_ws")

    def __init__(self, ws: Connection, base: Subscription) -> None:
        self._ws = ws
        self._base = base
        self._subscriptions = [base]

    @classmethod
    def open(cls, ws: Connection, asked: StreamQuery) -> Session:
        """Take the connection on as a listener. May switch.

        Args:
            asked: What stands in the URL.

        Raises:
            ConnectionClosedError: It can't be taken on, since the handshake; it was closed for that.
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
            ConnectionClosedError: It has ended.
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
        """The reply goes before the first event of what it is about."""
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
        """Whether these can be added: what a connection has already it would get twice."""
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
        """End a subscription, and go on with the rest of its channels, if there is a rest, from where it was."""
        subscription.stop()
        self._subscriptions.remove(subscription)
        position = str(subscription.position)
        rest = set(subscription.channels) - unwanted
        if rest:
            try:
                self._add(rest, position)
            except SimulcastError:
                # The client believes that it has a subscription that is gone. It reconnects with its positions.
                self._ws.close(CloseReason.BROKER_LOST)
                raise
        return messages.Left(sorted(unwanted.intersection(subscription.channels)), position)


def _closing_of(error: ListenError | BrokerError) -> CloseReason | int:
    """HTTP is over, so a code has to say it."""
    if isinstance(error, DrainingError):
        return CloseReason.DRAINING
    return CloseReason.BROKER_LOST if isinstance(error, BrokerError) else _TRY_AGAIN_LATER
