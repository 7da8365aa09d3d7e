"""Conversation: one call of ``Connect``: the commands of its client, and its subscriptions. `/ws` of the service is the same for
WebSockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from ..encoding.rpc.codes import CallError, Code
from ..event import ALL
from ..proto.simulcast.v1 import stream_pb2 as pb
from ..subscriptions import Owner, Subscriptions
from ..transports.response import StreamOptions
from ..transports.rpc import DuplexCall
from ..transports.subscription import Subscription
from .service import call_error

_MAX_ID_CHARACTERS = 128


class Conversation:
    """One call, used by its messages, one at a time.

    Args:
        duplex: The call.
        subscriptions: Its own, and those that the client adds.
        publish: Publishes for the client.
    """

    __slots__ = ("_duplex", "_publish", "_subscriptions")

    def __init__(
        self,
        duplex: DuplexCall,
        subscriptions: Subscriptions,
        publish: Callable[[pb.PublishRequest], pb.PublishResponse],
    ) -> None:
        self._duplex = duplex
        self._subscriptions = subscriptions
        self._publish = publish

    @classmethod
    def begin(
        cls,
        simulcast: Owner,
        duplex: DuplexCall,
        publish: Callable[[pb.PublishRequest], pb.PublishResponse],
        options: StreamOptions,
    ) -> Conversation:
        """Greet the client. May switch.

        Args:
            options: Of all subscriptions.

        Raises:
            SimulcastError: As `Subscriptions`.
            ConnectionClosedError: The call has ended.
        """
        begun = cls(duplex, Subscriptions(simulcast, duplex, (ALL,), options=options), publish)
        begun._say(pb.ConnectResponse(connected=_place(begun._subscriptions.base)))
        return begun

    def answer(self, request: pb.ConnectRequest) -> None:
        """Answer one command. May switch.

        Raises:
            ConnectionClosedError: The call has ended.
        """
        self._say(pb.ConnectResponse(reply=self._reply(request)))

    def _say(self, message: pb.ConnectResponse) -> None:
        """Send a message. New subscriptions start after it, so that their first event follows it."""
        self._duplex.send(message)
        self._subscriptions.start()

    def _reply(self, request: pb.ConnectRequest) -> pb.Reply:
        try:
            reply = self._carry_out(request)
        except Exception as error:
            told = call_error(error)
            reply = pb.Reply(error=pb.Error(code=told.code, message=str(told)))
        reply.id = request.id[:_MAX_ID_CHARACTERS]
        return reply

    def _carry_out(self, request: pb.ConnectRequest) -> pb.Reply:
        command = request.WhichOneof("command")
        if command is None:
            names = ", ".join(_COMMANDS)
            raise CallError(Code.INVALID_ARGUMENT, f"The message has no command. Send one of {names}.")
        if len(request.id) > _MAX_ID_CHARACTERS:
            raise CallError(
                Code.INVALID_ARGUMENT, f"The id has more than {_MAX_ID_CHARACTERS} characters. Choose a shorter one."
            )
        return _COMMANDS[command](self, getattr(request, command))

    # Commands

    def _subscribe(self, asked: pb.SubscribeRequest) -> pb.Reply:
        added = self._subscriptions.add(
            asked.channels,
            resume=asked.last_event_id or None,
            replay=asked.replay if asked.HasField("replay") else None,
        )
        return pb.Reply(subscribed=_place(added))

    def _unsubscribe(self, asked: pb.Unsubscribe) -> pb.Reply:
        left = self._subscriptions.leave(asked.channels)
        return pb.Reply(
            unsubscribed=pb.Unsubscribed(left=[pb.Left(channels=each.channels, id=each.position) for each in left])
        )

    def _published(self, asked: pb.PublishRequest) -> pb.Reply:
        return pb.Reply(published=self._publish(asked))

    def _ping(self, _: pb.Ping) -> pb.Reply:
        now = Timestamp()
        now.GetCurrentTime()
        return pb.Reply(pong=pb.Pong(time=now, subscriptions=map(_place, self._subscriptions)))


_COMMANDS: dict[str, Callable[[Conversation, Any], pb.Reply]] = {
    "subscribe": Conversation._subscribe,
    "unsubscribe": Conversation._unsubscribe,
    "publish": Conversation._published,
    "ping": Conversation._ping,
}


def _place(subscription: Subscription) -> pb.Connected:
    listener = subscription.listener
    return pb.Connected(id=str(subscription.position), listener=listener.id, channels=listener.channels)
