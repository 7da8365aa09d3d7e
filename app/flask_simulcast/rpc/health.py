"""Health: what ``/readyz`` tells, for probes and load balancers that ask by gRPC. All clients may ask."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Response, current_app, request
from google.protobuf.message import Message

from ..app_state import current_state
from ..encoding.rpc.codes import CallError, Code, ending_of
from ..errors import BrokerError
from ..hub.hub import Hub
from ..transports.client_watch import client_gone
from ..transports.response import check_server
from ..transports.rpc import Call, replied
from .of_grpc import MESSAGES, POOL
from .service import Service, services_here, streamed

_Request = MESSAGES["grpc.health.v1.HealthCheckRequest"]
_Response = MESSAGES["grpc.health.v1.HealthCheckResponse"]
_LOOK_SECONDS = 1.0
# Each has a greenlet. A client needs one for each worker that it uses.
_MAX_WATCHES = 100


class Health(Service):
    """The calls of ``grpc.health.v1.Health``. All services of the app are as healthy as the worker."""

    def __init__(self) -> None:
        self._watches = 0
        super().__init__(POOL.FindServiceByName("grpc.health.v1.Health"), {"Check": self._check, "Watch": self._watch})

    def _check(self, call: Call) -> Response:
        name = call.message(_Request).service
        if not _is_known(name):
            raise CallError(Code.NOT_FOUND, f"There is no service {name[:64]!a}. Leave it out to ask for the server.")
        return replied(call.dialect, _Response(status=_status(_hub())))

    def _watch(self, call: Call) -> Response:
        check_server(request.environ)
        if self._watches >= _MAX_WATCHES:
            raise CallError(
                Code.RESOURCE_EXHAUSTED, f"{_MAX_WATCHES} clients watch already. Call Check from time to time."
            )
        return streamed(call, self._changes(call, call.message(_Request).service))

    def _changes(self, call: Call, name: str) -> Iterator[Message]:
        """Yield the status now and at each change, until the worker stops. Switches."""
        hub, last = _hub(), None
        self._watches += 1
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
            self._watches -= 1


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
