"""StreamService: publish and listen by RPC. The calls of ``simulcast.v1.StreamService``, over the extension's own methods.

``Subscribe`` is the stream that `Simulcast.sse` makes, in another encoding; ``Connect`` is the conversation of a WebSocket.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Protocol, Unpack

from flask import Response

from ..encoding.rpc.codes import CallError, Code
from ..encoding.rpc.subscribed import BESIDE, ENCODINGS
from ..errors import client_input
from ..event import ALL, Event, IdempotencyKey
from ..grant import Grant
from ..proto.simulcast.v1 import stream_pb2 as pb
from ..subscriptions import Owner as OwnerOfSubscriptions
from ..transports.response import StreamOptions
from ..transports.rpc import MAX_QUESTION_BYTES, Call, replied
from ..transports.sse import is_over
from .conversation import Conversation
from .service import Service, duplex, received

#: Metadata of a ``PublishStream`` that failed: what was stored before.
STORED_EVENTS, STORED_LAST_ID = "simulcast-stored-events", "simulcast-stored-last-id"


# How many times its size the data of an event may have as it was sent, as over HTTP: with escapes, and spaces between.
_AS_SENT = 2
# As JSON the message has the data as a text, with each quote escaped once more.
_AS_TEXT = 2
# All else of such a message.
_MAX_REST_BYTES = 4096


class Owner(OwnerOfSubscriptions, Protocol):
    """The part of `Simulcast` that this module uses."""

    def grant(self) -> Grant:
        """Return the grant of the current request."""

    def check_grant(self) -> None:
        """Check again that the grant of the current request is valid."""

    def require_publish(self, channels: Iterable[str]) -> Grant:
        """Require the right to publish."""

    def require_subscribe(self, channels: Iterable[str], *, spends_ticket: bool = True) -> Grant:
        """Require the right to listen."""

    def publish(
        self, channel: str, data: object, *, type: str, idempotency_key: IdempotencyKey | None, raw: bool
    ) -> Event:
        """Append an event."""

    def sse(self, channels: Iterable[str], **options: Unpack[StreamOptions]) -> Response:
        """Return a stream."""


class StreamService(Service):
    """The calls.

    Args:
        simulcast: The extension.
        before_publish: Called with the number of events that a call is about to publish.
        sender: Returns whose an idempotency key is; None for the user of the grant, or else its token.
    """

    def __init__(
        self,
        simulcast: Owner,
        before_publish: Callable[[int], object] | None = None,
        sender: Callable[[], str] | None = None,
    ) -> None:
        self._simulcast = simulcast
        self._before_publish = before_publish or (lambda events: None)
        self._sender = sender or (lambda: next(iter(simulcast.grant().revocable_as), ""))
        super().__init__(
            pb.DESCRIPTOR.services_by_name["StreamService"],
            {
                "Publish": self._publish,
                "PublishStream": self._publish_stream,
                "Subscribe": self._subscribe,
                "Connect": self._connect,
            },
        )

    # The methods

    def _publish(self, call: Call) -> Response:
        self._check_may_publish()
        self._take_events(call)
        return replied(call.dialect, self._append(call.message(pb.PublishRequest)))

    def _publish_stream(self, call: Call) -> Response:
        self._check_may_publish()
        self._take_events(call)
        stored = pb.PublishStreamResponse()

        def store(message: pb.PublishRequest) -> None:
            stored.last_id = self._append(message).id
            stored.events += 1

        return received(
            call,
            pb.PublishRequest,
            store,
            lambda: stored,
            lambda: {STORED_EVENTS: str(stored.events), STORED_LAST_ID: stored.last_id},
        )

    def _subscribe(self, call: Call) -> Response:
        self._simulcast.grant()  # before the body is read
        call.most_bytes = MAX_QUESTION_BYTES
        asked = call.message(pb.SubscribeRequest)
        self._simulcast.require_subscribe(asked.channels, spends_ticket=False)
        if is_over(asked.last_event_id):
            raise CallError(Code.FAILED_PRECONDITION, "This stream has ended for good. Listen without its last id.")
        return self._simulcast.sse(
            asked.channels,
            encoding=ENCODINGS[call.dialect.content_type],
            deadline=call.deadline,
            resume=asked.last_event_id or None,
            replay=asked.replay if asked.HasField("replay") else None,
        )

    def _connect(self, call: Call) -> Response:
        self._simulcast.require_subscribe((ALL,), spends_ticket=False)
        self._take_events(call)
        options: StreamOptions = {
            "encoding": BESIDE[call.dialect.content_type],
            "heartbeat_as_comment": True,
            "deadline": call.deadline,
        }
        with duplex(call) as talk:
            talk.serve(pb.ConnectRequest, Conversation.begin(self._simulcast, talk, self._append, options).answer)
        return Response()  # the call answers by itself

    def _check_may_publish(self) -> None:
        """Check the grant before the body is read: a client without any such right must not hold memory here."""
        if not self._simulcast.grant().publish:
            self._simulcast.require_publish(("any channel",))

    def _take_events(self, call: Call) -> None:
        """Let the messages of a call be as large as an event can make them."""
        largest = _AS_TEXT * _AS_SENT * self._simulcast.settings.max_event_bytes + _MAX_REST_BYTES
        call.most_bytes = min(call.most_bytes, max(largest, MAX_QUESTION_BYTES))

    def _append(self, message: pb.PublishRequest) -> pb.PublishResponse:
        """Append one event. The grant might have ended since the last one of the call. May switch."""
        self._simulcast.check_grant()
        self._simulcast.require_publish((message.channel,))
        self._before_publish(1)
        key = IdempotencyKey(message.idempotency_key, self._sender()) if message.idempotency_key else None
        with client_input():
            event = self._simulcast.publish(
                message.channel,
                self._data_of(message),
                type=message.type or "message",
                idempotency_key=key,
                raw=message.HasField("text"),
            )
        return pb.PublishResponse(id=str(event.position))

    def _data_of(self, message: pb.PublishRequest) -> Any:
        """Return the data of an event, after a look at its size: 4 MB of numbers take 0.7 s, in which the worker does nothing
        else."""
        which = message.WhichOneof("data")
        if which is None:
            raise CallError(Code.INVALID_ARGUMENT, "The event has no data. Give it json or text.")
        if which == "text":
            return message.text
        size, most = len(message.json), self._simulcast.settings.max_event_bytes
        if size > _AS_SENT * most:
            raise CallError(
                Code.RESOURCE_EXHAUSTED,
                f"The event has {size} characters of data, and {most} bytes are allowed. Send a reference to it.",
            )
        try:
            return json.loads(message.json)
        except (ValueError, RecursionError):
            raise CallError(Code.INVALID_ARGUMENT, "The field json is not JSON. Send a JSON text.") from None
