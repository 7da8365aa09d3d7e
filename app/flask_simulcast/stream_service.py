"""StreamService: publish and listen by RPC. The calls of ``simulcast.v1.StreamService``, over the extension's own methods.

A call is a request like any other: Flask, the authorizer, limits and log lines see it. ``Subscribe`` is the stream that
`Simulcast.sse` makes, in another encoding. Needs the extra ``flask-simulcast[rpc]``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, Unpack

from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import HTTPException

from .app_state import current_state
from .encoding.rpc.codes import CallError, Code, code_of_status
from .encoding.rpc.dialect import OF_STREAMS, OF_UNARY, Dialect
from .encoding.rpc.subscribed import ENCODINGS
from .errors import GrantError, SimulcastError, client_input
from .event import Event, IdempotencyKey
from .grant import Grant
from .proto.simulcast.v1 import stream_pb2 as pb
from .transports.handover import has_trailers
from .transports.preflight import marked
from .transports.refusal import refuse
from .transports.response import StreamOptions
from .transports.rpc import Call, failed, replied
from .transports.sse import is_over

#: Path of the calls: the full name of the service.
_NAME = pb.DESCRIPTOR.services_by_name["StreamService"].full_name


class Owner(Protocol):
    """The part of `Simulcast` that this module uses."""

    def grant(self) -> Grant:
        """Return the grant of the current request."""

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


class _Method(NamedTuple):
    dialects: Mapping[str, Dialect]
    answer: Callable[[Call], Response]


def make_blueprint(
    simulcast: Owner, *, before_publish: Callable[[int], object] | None, sender: Callable[[], str] | None
) -> Blueprint:
    """Make the blueprint; `Simulcast.rpc` has the arguments."""
    blueprint = Blueprint("simulcast_rpc", __name__)
    service = StreamService(simulcast, before_publish or (lambda events: None), sender or (lambda: _sender(simulcast)))

    @blueprint.post(f"/{_NAME}/<path:method>")
    @marked
    def call(method: str) -> Response:
        return service.answer(method)

    return blueprint


class StreamService:
    """The calls.

    Args:
        simulcast: The extension.
        before_publish: Called with the number of events that a call is about to publish.
        sender: Returns whose an idempotency key is.
    """

    def __init__(self, simulcast: Owner, before_publish: Callable[[int], object], sender: Callable[[], str]) -> None:
        self._simulcast = simulcast
        self._before_publish = before_publish
        self._sender = sender
        self._methods = {
            "Publish": _Method(OF_UNARY, self._publish),
            "PublishStream": _Method(OF_STREAMS, self._publish_stream),
            "Subscribe": _Method(OF_STREAMS, self._subscribe),
        }

    def answer(self, method: str) -> Response:
        """Answer the current request."""
        found, mimetype = self._methods.get(method), request.mimetype
        dialect = (found.dialects if found else OF_STREAMS | OF_UNARY).get(mimetype)
        if dialect is not None and dialect.has_trailers and not has_trailers(request.environ):
            dialect = None
        if dialect is None:
            types = ", ".join(OF_UNARY if found is None else found.dialects)
            return Response("", 415, {"Accept-Post": types})
        try:
            if found is None:
                raise CallError(Code.UNIMPLEMENTED, f"{_NAME} has no method {method[:64]!a}.")
            return found.answer(Call(request, dialect))
        except CallError as error:
            return failed(dialect, error)
        except Exception as error:
            return failed(dialect, self._as_call_error(error))

    # The methods

    def _publish(self, call: Call) -> Response:
        self._check_may_publish()
        event = self._append(call.message(pb.PublishRequest))
        return replied(call.dialect, pb.PublishResponse(id=str(event.position)))

    def _publish_stream(self, call: Call) -> Response:
        self._check_may_publish()
        count, last = 0, ""
        for message in call.messages(pb.PublishRequest):
            last = str(self._append(message).position)
            count += 1
        return replied(call.dialect, pb.PublishStreamResponse(events=count, last_id=last))

    def _subscribe(self, call: Call) -> Response:
        asked = call.message(pb.SubscribeRequest)
        self._simulcast.require_subscribe(asked.channels, spends_ticket=False)
        if is_over(asked.last_event_id):
            raise CallError(Code.FAILED_PRECONDITION, "This stream has ended for good. Listen without its last id.")
        return self._simulcast.sse(
            asked.channels,
            encoding=ENCODINGS[call.dialect.content_type],
            resume=asked.last_event_id or None,
            replay=asked.replay if asked.HasField("replay") else None,
        )

    def _check_may_publish(self) -> None:
        """Check the grant before the body is read: a client without any such right must not hold memory here."""
        if not self._simulcast.grant().publish:
            self._simulcast.require_publish(("any channel",))

    def _append(self, message: pb.PublishRequest) -> Event:
        """Append one event. May switch."""
        self._simulcast.require_publish((message.channel,))
        self._before_publish(1)
        key = IdempotencyKey(message.idempotency_key, self._sender()) if message.idempotency_key else None
        with client_input():
            return self._simulcast.publish(
                message.channel,
                _data_of(message),
                type=message.type or "message",
                idempotency_key=key,
                raw=message.HasField("text"),
            )

    # Errors

    def _as_call_error(self, error: Exception) -> CallError:
        """Return how a call ends after an error of the extension, of the app or of Flask. What is a bug is logged."""
        if isinstance(error, GrantError):
            state = current_state()
            refuse(request, error, state.settings, state.metrics)
        status = error.code if isinstance(error, HTTPException) else getattr(error, "status", 500)
        if not isinstance(status, int) or status == 500:
            current_app.log_exception(sys.exc_info())
            return CallError(Code.INTERNAL, "The server failed. Its log says why.")
        if isinstance(error, SimulcastError):
            return CallError(code_of_status(status, error.code), error.public or str(error))
        return CallError(code_of_status(status), str(error))


def _data_of(message: pb.PublishRequest) -> Any:
    which = message.WhichOneof("data")
    if which is None:
        raise CallError(Code.INVALID_ARGUMENT, "The event has no data. Give it json or text.")
    if which == "text":
        return message.text
    try:
        return json.loads(message.json)
    except (ValueError, RecursionError):
        raise CallError(Code.INVALID_ARGUMENT, "The field json is not JSON. Send a JSON text.") from None


def _sender(simulcast: Owner) -> str:
    """Return the user of the current request, else its token; empty for a client that has neither."""
    return next(iter(simulcast.grant().revocable_as), "")
