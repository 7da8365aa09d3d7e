"""GuardedSock: flask-sock's routes, with connections that have limits.

flask-sock registers a route on the app or a blueprint, with a handler that runs in the request. Underneath, it makes a
``simple_websocket.Server``. GuardedSock makes a `Connection` instead, and checks everything that can refuse a client before
that.

A handler that leaves a function, ``ws.on_message``, returns early: the connection is parked, and the server's own 101 goes
nowhere (`Handover.take_websocket`). Any other handler runs as long as its connection, in the request, which ends like this:
the view returns 101, and that answer goes through Flask and each middleware
like any other; so tracers see an answered request, and gunicorn's access log has a line. The client got its own 101 long
before. By now the socket is shut down in both directions, so gunicorn's write of the second 101 fails with EPIPE; gunicorn
treats that as a client that has gone, and closes. (flask-sock raises ``StopIteration`` through all middleware instead, which
each tracer reports as a failed request.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial, wraps
from typing import Any, NamedTuple, Protocol

from flask import Blueprint, Flask, Response, current_app, request
from flask.sansio.blueprints import BlueprintSetupState
from flask_sock import Sock
from werkzeug.routing.exceptions import WebsocketMismatch

from ... import cors
from ...close_reason import CloseReason
from ...errors import (
    ForbiddenError,
    HandshakeError,
    SimulcastError,
    StreamingNotSupportedError,
    UpgradeRequiredError,
    WebSocketError,
)
from ...hub.gateway import made_in_loop
from ...loop_thread import in_loop
from .. import server_hooks
from ..address import limited_address
from ..client_socket import socket_of
from ..handover import Handover
from ..kept_request import KeptRequest
from . import handshake
from .attempt import attempt
from .close_codes import CLOSE_CODES, CloseCode
from .connection import Connection
from .connections import Connections
from .deflate import agreed
from .limits import Limits
from .options import Options
from .served import Served

Handler = Callable[..., object]


class Owner(Protocol):
    """The part of `Simulcast` that this module uses."""

    @property
    def connections(self) -> Connections:
        """The WebSockets of the current app in this process."""


class _Route(NamedTuple):
    """The arguments of one route; see `GuardedSock.route`."""

    before: Callable[..., object] | None
    text_only: bool
    limits: Mapping[str, Any]
    subprotocols: tuple[str, ...]


class GuardedSock(Sock):  # type: ignore[misc]
    """Registers WebSocket routes, like flask-sock's ``Sock``::

        sock = GuardedSock(simulcast)

        @sock.route("/ws/echo", bp)
        def echo(ws):
            while True:
                ws.send(ws.receive())

        sock.init_app(app)  # not needed with blueprints

    Args:
        simulcast: The extension, which has the connections of each app.
        app: The app; None to call `init_app` later.
    """

    def __init__(self, simulcast: Owner, app: Flask | None = None) -> None:
        self._simulcast = simulcast
        self.bp: Blueprint | None = None
        super().__init__(app)

    def init_app(self, app: Flask) -> None:
        """Set the app up, as flask-sock's ``init_app`` does.

        Raises:
            SettingError: ``SOCK_SERVER_OPTIONS`` has an option that is not supported here.
        """
        Options.of(app.config)
        super().init_app(app)

    def route(
        self,
        path: str,
        bp: Blueprint | None = None,
        *,
        before: Callable[..., object] | None = None,
        text_only: bool = False,
        limits: Mapping[str, Any] | None = None,
        subprotocols: str | Iterable[str] = (),
        **options: Any,
    ) -> Callable[[Handler], Handler]:
        """Register a handler, which is called with a `Connection` and the variables of the URL.

        The handler runs in the request, and when it returns the connection is closed with 1000. An error that it raises is
        logged, and the client gets 1011 without its text. For a `SimulcastError` that is the client's own fault (such as a
        missing right) the client gets 1008 and the message.

        Args:
            path: Path of the URL.
            bp: A blueprint. Without it the route belongs to the app.
            before: Called in the request before the handshake is answered, with the variables of the URL. Its errors are
                answered as HTTP: ``before=lambda room: simulcast.require_subscribe([room])`` answers 401 or 403.
            text_only: True to close with 1003 at a binary message.
            limits: Limits that differ from the settings, by their names in `Limits`.
            subprotocols: Subprotocols that the handler speaks. The first of the client's that is among them is in the
                answer, and in ``ws.subprotocol``. Without it, those of ``SOCK_SERVER_OPTIONS``.
            options: Options of ``app.route``.

        Raises:
            ValueError: The name of a subprotocol is not valid in a header.
            SettingError: ``SOCK_SERVER_OPTIONS`` has an option that is not supported here.
        """
        Limits(**limits or {})  # a wrong name must not wait for the first client
        route = _Route(before, text_only, limits or {}, handshake.checked_subprotocols(subprotocols))
        owner = bp or self.app or self._own_blueprint()
        if isinstance(owner, Blueprint):
            owner.record(_check_options)

        def decorator(handler: Handler) -> Handler:
            guarded = self._guarded(handler)

            @wraps(handler)
            def view(*args: Any, **kwargs: Any) -> Response:
                guarded(self._upgrade(request.environ, route), *args, **kwargs)
                return Response(status=101)

            owner.route(path, **options, websocket=True)(view)
            return handler

        return decorator

    def _own_blueprint(self) -> Blueprint:
        """Return the blueprint for routes of a `GuardedSock` that gets its app later. flask-sock's ``init_app`` registers it."""
        if self.bp is None:
            self.bp = Blueprint("__flask_sock", __name__)
        return self.bp

    def _upgrade(self, environ: dict[str, Any], route: _Route) -> Connection:
        """Turn a request into an open connection, or raise the error that refuses it."""
        connections = self._simulcast.connections
        configured = Options.of(current_app.config)
        try:
            key = handshake.check(environ)
            _check_origin(connections.settings.allowed_origins)
            address = limited_address(request, connections.settings)
            in_loop(connections.check_capacity, address)  # first, because what follows might spend a ticket
            if route.before is not None:
                route.before(**request.view_args or {})
            client = _client_of(environ)
            limits = connections.limits(**{**configured.limits, **route.limits})
            deflate = agreed(handshake.offers(environ)) if limits.compression else None
            subprotocol = handshake.subprotocol_of(environ, route.subprotocols or configured.subprotocols)

            def accept() -> Connection:
                """Take a place, in the loop and without a switch: no other request takes it meanwhile, and no drain begins."""
                connections.check_capacity(address)
                connection = made_in_loop(
                    lambda: Connection(
                        client,
                        limits,
                        text_only=route.text_only,
                        deflate=deflate,
                        subprotocol=subprotocol,
                        breather=connections.breather,
                    )
                )
                connections.add(connection, address)
                return connection

            connection = in_loop(accept)
        except SimulcastError as error:
            connections.metrics.count("websocket_refused_total", label=error.code)
            raise
        server_hooks.warn_if_missing(environ)
        connection.open(handshake.accepted(key, deflate, subprotocol))
        return connection

    def _guarded(self, handler: Handler) -> Handler:
        @wraps(handler)
        def run(ws: Connection, *args: Any, **kwargs: Any) -> None:
            connections = self._simulcast.connections
            ending: CloseCode | None = None
            is_parked = False
            try:
                ending = attempt(ws, connections.metrics, request.path, partial(handler, ws, *args, **kwargs))
                if ending is None and ws.on_message is not None:
                    is_parked = _park(ws, connections)
                    if not is_parked:
                        ending = _serve(ws, connections)
            except BaseException:  # the worker kills the greenlet
                ws.cut()
                raise
            finally:
                if not is_parked:
                    try:
                        ws.finish(ending or CLOSE_CODES[CloseReason.FINISHED])
                    finally:
                        in_loop(connections.remove, ws, request.path)

        return run


def mismatch(_: WebsocketMismatch) -> WebSocketError:
    """Return the error for a `WebsocketMismatch`, for an error handler: Werkzeug's own 400 does not mention WebSocket."""
    if handshake.is_asked(request.environ):
        return HandshakeError("This URL speaks plain HTTP. Send the request without the header Upgrade.")
    return UpgradeRequiredError(handshake.USE_A_CLIENT)


def _check_options(state: BlueprintSetupState) -> None:
    """Check the options of an app when a blueprint with such routes is registered on it."""
    Options.of(state.app.config)


def _check_origin(allowed: tuple[str, ...]) -> None:
    """Check the origin of the request. A browser sends its cookies with a WebSocket from any page, and CORS does not apply.

    Raises:
        ForbiddenError: The origin is not allowed; the code is ``origin``.
    """
    origin = request.headers.get("Origin")  # only browsers send it, and they always do
    if not cors.is_allowed(origin, request.host_url.rstrip("/"), allowed):
        raise ForbiddenError(
            "A page of another origin asks for a WebSocket. Name the origin in SIMULCAST_ALLOWED_ORIGINS.", "origin"
        )


def _client_of(environ: dict[str, Any]) -> Any:
    client = socket_of(environ)
    if client is None:
        raise StreamingNotSupportedError(
            "This server does not show its socket, so there is no WebSocket. Use `flask run` or gunicorn."
        )
    return client


def _park(ws: Connection, connections: Connections) -> bool:
    """Free the greenlet of a handler that has left a function for messages. Return False if its server can't let go."""
    handover = Handover.of(request.environ) if connections.settings.parking and ws.is_open else None
    if handover is None:
        return False
    served = Served(ws, connections, KeptRequest(), ws.inbox)
    ws.park(served, handover.take_websocket())
    return True


def _serve(ws: Connection, connections: Connections) -> CloseCode | None:
    """Hand messages on in this greenlet, or thread, until the connection ends. Return the ending for an error. Switches."""
    kept = KeptRequest()

    def hand_on() -> None:
        while ws.on_message is not None:
            kept.call(partial(ws.on_message, ws.receive()))

    ending = attempt(ws, connections.metrics, kept.path, hand_on)
    if ws.on_close is not None:
        attempt(ws, connections.metrics, kept.path, partial(kept.call, ws.on_close))
    return ending
