"""Session: one connection to ``/ws``: the commands of its client, and its subscriptions."""

from __future__ import annotations

import time

from msgspec import UNSET, Struct

from ....extensions import simulcast
from ....flask_simulcast import (
    CloseReason,
    Connection,
    ConnectionClosedError,
    IdempotencyKey,
    Subscriptions,
    client_input,
)
from ....flask_simulcast.errors import BrokerError, DrainingError, ListenError
from ....identity.sender import current_sender
from ....web import limits, reads
from ....web.conversation import Handlers, answer, say
from .. import access, service
from ..schemas import StreamQuery
from . import commands, messages
from .commands import AnyCommand

_TRY_AGAIN_LATER = 1013


class Session:
    """One connection. It is made in the request that opened it, and used only by that and by its commands, one at a time.

    Args:
        ws: The connection.
        subscriptions: Its own, with the channels in the URL, and those that the client adds.
    """

    __slots__ = ("_subscriptions", "_ws")

    def __init__(self, ws: Connection, subscriptions: Subscriptions) -> None:
        self._ws = ws
        self._subscriptions = subscriptions

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
            return cls(ws, Subscriptions(simulcast, ws, asked.names, resume=asked.last_event_id or None, replay=replay))
        except (ListenError, BrokerError) as error:
            ws.close(_closing_of(error))
            raise ConnectionClosedError(1006, "") from error

    def begin(self) -> None:
        """Greet the client, and answer its commands from now on. May switch.

        Raises:
            ConnectionClosedError: The connection has ended.
        """
        base = self._subscriptions.base
        listener = base.listener
        say(
            self._ws,
            messages.Connected(listener.id, listener.grant.user, list(listener.channels), str(base.position)),
        )
        self._subscriptions.start()
        self._ws.on_message = self

    def __call__(self, message: str | bytes) -> None:
        """Answer one message of the client. What it has subscribed to comes after the reply. May switch."""
        answer(self._ws, commands.COMMANDS, _HANDLERS, (self,), message)
        self._subscriptions.start()

    # Commands

    def _subscribe(self, command: commands.Subscribe) -> messages.Subscribed:
        position = None if command.position is UNSET else command.position
        replay = None if command.replay is UNSET else command.replay
        added = self._subscriptions.add(command.names, resume=position, replay=replay)
        return messages.Subscribed(added.listener.id, list(added.channels), str(added.position))

    def _unsubscribe(self, command: commands.Unsubscribe) -> messages.Unsubscribed:
        left = self._subscriptions.leave(command.names)
        return messages.Unsubscribed([messages.Left(each.channels, each.position) for each in left])

    def _publish(self, command: commands.Publish) -> Struct:
        simulcast.check_grant()  # it might have ended a moment ago, and the connection not yet
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


_HANDLERS: Handlers[AnyCommand] = {
    commands.Subscribe: Session._subscribe,
    commands.Unsubscribe: Session._unsubscribe,
    commands.Publish: Session._publish,
    commands.History: Session._history,
    commands.Presence: Session._presence,
    commands.Ping: Session._ping,
}


def _closing_of(error: ListenError | BrokerError) -> CloseReason | int:
    """Return the close code or reason for a refusal after the handshake, when no HTTP status is possible."""
    if isinstance(error, DrainingError):
        return CloseReason.DRAINING
    return CloseReason.BROKER_LOST if isinstance(error, BrokerError) else _TRY_AGAIN_LATER
