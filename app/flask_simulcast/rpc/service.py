"""Service: the methods of one service, and how a request becomes a call of one of them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TypeVar

from flask import Blueprint, Response, current_app, request, stream_with_context
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from werkzeug.exceptions import HTTPException

from ..app_state import current_state
from ..encoding.rpc.codes import BUG, CallError, Code, code_of_status
from ..encoding.rpc.dialect import OF_STREAMS, OF_UNARY, Dialect
from ..errors import GrantError, SimulcastError
from ..transports.handover import has_trailers
from ..transports.preflight import marked
from ..transports.refusal import refuse
from ..transports.rpc import Call, DuplexCall, can_go_on, failed, replied, until_drained
from ..transports.sse import HEADERS

M = TypeVar("M", bound=Message)

_KEY = "simulcast_rpc"

_log = logging.getLogger("flask_simulcast")


class Service:
    """One service.

    Args:
        descriptor: Its description, from the generated module.
        methods: For each of its methods, a function that answers a call of it.
    """

    def __init__(self, descriptor: ServiceDescriptor, methods: Mapping[str, Callable[[Call], Response]]) -> None:
        self.descriptor = descriptor
        self._methods = methods
        self._dialects = {
            method.name: OF_STREAMS if method.client_streaming or method.server_streaming else OF_UNARY
            for method in descriptor.methods
        }

    def register(self, blueprint: Blueprint) -> None:
        """Add the route of its calls. Register the blueprint without an ``url_prefix``: clients expect a service at the root."""
        blueprint.record_once(lambda setup: setup.app.extensions.setdefault(_KEY, []).append(self))
        rule, name = f"/{self.descriptor.full_name}/<path:method>", self.descriptor.full_name.replace(".", "_")
        blueprint.add_url_rule(rule, name, marked(partial(self.answer)), methods=["POST"])

    def answer(self, method: str) -> Response:
        """Answer the current request."""
        dialects = self._dialects.get(method)
        dialect = _spoken(OF_STREAMS | OF_UNARY if dialects is None else dialects)
        if dialect is None:
            return Response("", 415, {"Accept-Post": ", ".join(OF_UNARY if dialects is None else dialects)})
        try:
            if dialects is None:
                raise CallError(Code.UNIMPLEMENTED, f"{self.descriptor.full_name} has no method {method[:64]!a}.")
            return self._methods[method](Call(request, dialect))
        except Exception as error:
            return failed(dialect, call_error(error))


def services_here() -> list[Service]:
    """Return the services of the current app."""
    services: list[Service] = current_app.extensions[_KEY]
    return services


def _spoken(dialects: Mapping[str, Dialect]) -> Dialect | None:
    """Return the dialect of the current request; None if it is not one of these, or if the server can't send its trailers."""
    dialect = dialects.get(request.mimetype)
    return None if dialect is not None and dialect.has_trailers and not has_trailers(request.environ) else dialect


def streamed(call: Call, messages: Iterator[Message]) -> Response:
    """Return a response with messages as they come. An error of theirs ends the call with its code; so does the end of the time
    for a drain, by HTTP/2."""
    dialect = call.dialect
    if can_go_on(request.environ):
        messages = until_drained(messages, current_state().calls, has_grace=True)

    def chunks() -> Iterator[bytes]:
        try:
            for message in messages:
                yield dialect.frame(message)
            end = dialect.end()
        except Exception as error:
            end = dialect.end(call_error(error))
        yield end

    return Response(stream_with_context(chunks()), content_type=dialect.content_type, headers=HEADERS)


def duplex(call: Call) -> DuplexCall:
    """Return a call that goes on after its request; its errors become codes.

    Raises:
        CallError: UNIMPLEMENTED: the request did not come by HTTP/2.
    """
    return DuplexCall(call, request, current_state().calls, call_error)


def received(
    call: Call,
    kind: type[M],
    on_message: Callable[[M], object],
    answer: Callable[[], Message],
    metadata: Callable[[], dict[str, str]] = dict,
) -> Response:
    """Take the messages of a client as they come. By HTTP/2 no greenlet waits for them. Otherwise it switches.

    Args:
        on_message: Called with each. May switch.
        answer: Returns the answer, once the client has ended its side.
        metadata: Returns what the client is told besides when the call fails.
    """

    def error_of(error: Exception) -> CallError:
        told = call_error(error)
        try:
            return CallError(told.code, str(told), metadata())
        except Exception:  # a call must end also outside of a request, at its deadline
            _log.exception(
                "The metadata of a call that failed can't be sent. Fix the cause; its client is told of a bug."
            )
            return CallError(Code.INTERNAL, BUG)

    calls = current_state().calls
    if not can_go_on(request.environ):
        try:
            for message in until_drained(call.messages(kind), calls, has_grace=False):
                on_message(message)
        except Exception as error:
            raise error_of(error) from error
        return replied(call.dialect, answer())
    with DuplexCall(call, request, calls, error_of) as taken:
        taken.serve(kind, on_message, on_end=lambda: taken.send(answer()), messages_per_second=0)
    return Response()  # the call answers by itself


def call_error(error: Exception) -> CallError:
    """Return how a call ends after an error of the extension, of the app or of Flask. What is a bug is logged."""
    if isinstance(error, CallError):
        return error
    if isinstance(error, GrantError):
        state = current_state()
        refuse(request, error, state.settings, state.metrics)
    status = error.code if isinstance(error, HTTPException) else getattr(error, "status", 500)
    if not isinstance(status, int) or status == 500:
        current_app.log_exception(sys.exc_info())
        return CallError(Code.INTERNAL, BUG)
    public = error.public if isinstance(error, SimulcastError) else None
    return CallError(code_of_status(status, getattr(error, "code", "")), public or str(error))
