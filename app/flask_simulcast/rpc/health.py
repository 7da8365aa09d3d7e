"""Health: what ``/readyz`` tells, for probes and load balancers that ask by gRPC. All clients may ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from weakref import WeakSet

import gevent
from flask import Response, current_app, request
from google.protobuf.message import Message

from ..app_state import current_state
from ..close_reason import CloseReason
from ..encoding.rpc.codes import CallError, Code, ending_of
from ..errors import BrokerError, ConnectionClosedError
from ..hub.hub import Hub
from ..transports.client_watch import client_gone
from ..transports.response import check_server
from ..transports.rpc import MAX_QUESTION_BYTES, Call, DuplexCall, can_go_on, replied
from .of_grpc import MESSAGES, POOL
from .service import Service, duplex, services_here, streamed

_Request = MESSAGES["grpc.health.v1.HealthCheckRequest"]
_Response = MESSAGES["grpc.health.v1.HealthCheckResponse"]
_LOOK_SECONDS = 1.0
# A client needs one for each worker that it uses.
_MAX_WATCHES = 100


class _Watcher:
    """A client of HTTP/2 that is told of changes, without a greenlet of its own."""

    __slots__ = ("_call", "_hub", "_is_known", "_last")

    def __init__(self, call: DuplexCall, hub: Hub, *, is_known: bool) -> None:
        self._call = call
        self._hub = hub
        self._is_known = is_known
        self._last = ""

    def look(self) -> None:
        """Tell of a change. May switch.

        Raises:
            ConnectionClosedError: The call has ended.
        """
        self._tell(_status(self._hub))

    def leave(self) -> None:
        """Tell that the worker stops, and end the call. May switch."""
        with suppress(ConnectionClosedError):
            self._tell("NOT_SERVING")
        self._call.end(CloseReason.DRAINING)

    def _tell(self, status: str) -> None:
        if not self._is_known:
            status = "SERVICE_UNKNOWN"
        if status != self._last:
            self._last = status
            self._call.send(_Response(status=status))


class _Place:
    """One of the places for clients that watch. It is free when nothing holds it: a stream might end before it begins."""


class Health(Service):
    """The calls of ``grpc.health.v1.Health``. All services of the app are as healthy as the worker."""

    def __init__(self) -> None:
        self._places: WeakSet[_Place] = WeakSet()
        self._watchers: set[_Watcher] = set()
        self._is_looking = False  # a greenlet looks after them
        super().__init__(POOL.FindServiceByName("grpc.health.v1.Health"), {"Check": self._check, "Watch": self._watch})

    def _check(self, call: Call) -> Response:
        call.most_bytes = MAX_QUESTION_BYTES
        name = call.message(_Request).service
        if not _is_known(name):
            raise CallError(Code.NOT_FOUND, f"There is no service {name[:64]!a}. Leave it out to ask for the server.")
        return replied(call.dialect, _Response(status=_status(_hub())))

    def _watch(self, call: Call) -> Response:
        check_server(request.environ)
        call.most_bytes = MAX_QUESTION_BYTES
        place = self._take_place()
        name = call.message(_Request).service
        if not can_go_on(request.environ):
            return streamed(call, self._changes(call, name, place))
        with duplex(call) as told:
            watcher = _Watcher(told, _hub(), is_known=_is_known(name))
            watcher.look()
            told.stay(partial(self._remove, watcher, place), on_drain=partial(gevent.spawn, watcher.leave))
            self._add(watcher)
        return Response()  # the call answers by itself

    def _take_place(self) -> _Place:
        """Take a place before anything that switches, so that clients that come together keep to the limit.

        Raises:
            CallError: All are taken.
        """
        if len(self._places) >= _MAX_WATCHES:
            raise CallError(
                Code.RESOURCE_EXHAUSTED, f"{_MAX_WATCHES} clients watch already. Call Check from time to time."
            )
        place = _Place()
        self._places.add(place)
        return place

    def _remove(self, watcher: _Watcher, place: _Place) -> None:
        self._watchers.discard(watcher)
        self._places.discard(place)

    def _add(self, watcher: _Watcher) -> None:
        self._watchers.add(watcher)
        if not self._is_looking:
            self._is_looking = True
            gevent.spawn(self._look)

    def _look(self) -> None:
        """Look after all watchers, until there is none."""
        try:
            while self._watchers:
                gevent.sleep(_LOOK_SECONDS)
                for watcher in list(self._watchers):
                    with suppress(ConnectionClosedError):
                        watcher.look()
        finally:
            self._is_looking = False

    def _changes(self, call: Call, name: str, place: _Place) -> Iterator[Message]:
        """Yield the status now and at each change, until the worker stops. Switches."""
        hub, last = _hub(), None
        try:
            with client_gone(request.environ) as gone:
                while not gone.is_set():
                    status = _status(hub) if _is_known(name) else "SERVICE_UNKNOWN"
                    if status != last:
                        yield _Response(status=status)
                        last = status
                    if hub.is_draining:
                        raise ending_of("draining")
                    call.check_deadline()
                    gone.wait(_LOOK_SECONDS)
        finally:
            self._places.discard(place)


def _is_known(name: str) -> bool:
    return not name or any(name == service.descriptor.full_name for service in services_here())


def _hub() -> Hub:
    return current_state().hub(current_app._get_current_object())  # type: ignore[attr-defined]


def _status(hub: Hub) -> str:
    """Return SERVING if the log can be read, unless the worker is about to stop."""
    if hub.is_draining:
        return "NOT_SERVING"
    try:
        hub.readable_head()
    except BrokerError:
        return "NOT_SERVING"
    return "SERVING"
