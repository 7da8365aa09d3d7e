"""GuardedSock: flask-sock's routes, with a connection that is guarded.

flask-sock carries a route: on the app or a blueprint, with a handler that runs in the request. Underneath, it makes a
``simple_websocket.Server``; here a `Connection` stands in for that, and everything that may refuse a client comes before it.
What the stock server gets wrong under gevent is in `docs/websocket.md`.

How a request ends that was a WebSocket: the view returns 101, as what it was, and that goes through Flask and each middleware
like any other answer; so tracers see an answered request, and gunicorn's access log has a line. The client had its 101 long
before. By now the socket is shut down in both directions, so what gunicorn writes of the second one goes nowhere: EPIPE,
which gunicorn takes for a client that has gone, and closes. (flask-sock raises ``StopIteration`` through all middleware
instead, which each tracer reports as a failed request.)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, NamedTuple, Protocol

from flask import Blueprint, Flask, Response, current_app, request
from flask.sansio.blueprints import BlueprintSetupState
from flask_sock import Sock
from werkzeug.routing.exceptions import WebsocketMismatch

from ...errors import (
    ConnectionClosedError,
    ForbiddenError,
    HandshakeError,
    NotPatchedError,
    SimulcastError,
    StreamingNotSupportedError,
    UpgradeRequiredError,
    WebSocketError,
)
from ...listener import CloseReason
from ...loop import is_patched
from .. import cors
from ..address import limited_address
from . import handshake
from .close_codes import BUG, CLOSE_CODES, REFUSED, CloseCode
from .connection import Connection
from .connections import Connections
from .deflate import agreed
from .limits import Limits
from .options import Options

Handler = Callable[..., object]
_log = logging.getLogger("flask_simulcast")


class Owner(Protocol):
    """What a `Simulcast` has of the current app."""

    @property
    def connections(self) -> Connections:
        """Its WebSockets in this process."""


class _Route(NamedTuple):
    """What one route asks for, as said at `GuardedSock.route`."""

    before: Callable[..., object] | None
    text_only: bool
    limits: Mapping[str, Any]
    subprotocols: tuple[str, ...]


class GuardedSock(Sock):  # type: ignore[misc]
    """WebSocket routes, as flask-sock's ``Sock``::

        sock = GuardedSock(simulcast)

        @sock.route("/ws/echo", bp)
        def echo(ws):
            while True:
                ws.send(ws.receive())

        sock.init_app(app)  # not needed with blueprints

    Args:
        simulcast: Has settings, counters and the connections of each app.
        app: As with flask-sock.
    """

    def __init__(self, simulcast: Owner, app: Flask | None = None) -> None:
        self._simulcast = simulcast
        self.bp: Blueprint | None = None
        super().__init__(app)

    def init_app(self, app: Flask) -> None:
        """As flask-sock's.

        Raises:
            SettingError: ``SOCK_SERVER_OPTIONS`` has an option that can't be followed here.
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
        """Register a handler, which is called with a `Connection` and what the URL holds.

        It runs in the request, and when it returns the connection is closed with 1000. What it raises is logged, and the client
        sees 1011 and no text of it; of a `SimulcastError` that is the client's own fault (a grant, say) 1008 and its message.

        Args:
            path: Of the URL.
            bp: A blueprint; the app when left out.
            before: Called before the handshake is answered, in the request, with what the URL holds. What it raises is answered
                as HTTP: ``before=lambda room: simulcast.require_subscribe([room])`` answers 401 or 403.
            text_only: Binary messages end it with 1003.
            limits: Other bounds than those of the settings, by the names of `Limits`.
            subprotocols: That the handler speaks: the first of the client's that is among them is in the answer, and is
                ``ws.subprotocol``. Those of ``SOCK_SERVER_OPTIONS`` when left out.
            options: As of ``app.route``.

        Raises:
            ValueError: A subprotocol that can't stand in a header.
            SettingError: ``SOCK_SERVER_OPTIONS`` has an option that can't be followed here.
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
        """For the routes of a `GuardedSock` that gets its app later; flask-sock's ``init_app`` registers it."""
        if self.bp is None:
            self.bp = Blueprint("__flask_sock", __name__)
        return self.bp

    def _upgrade(self, environ: dict[str, Any], route: _Route) -> Connection:
        """From a request to an open connection, or to what refuses it."""
        connections = self._simulcast.connections
        configured = Options.of(current_app.config)
        try:
            key = handshake.check(environ)
            _check_origin(connections.settings.allowed_origins)
            if route.before is not None:
                route.before(**request.view_args or {})
            address = limited_address(request, connections.settings)
            connections.check_capacity(address)  # after whatever may have switched: none comes in behind a drain
            client = _client_of(environ)
        except SimulcastError as error:
            connections.metrics.count("websocket_refused_total", label=error.code)
            raise
        limits = Limits.of(connections.settings, **{**configured.limits, **route.limits})
        deflate = agreed(handshake.offers(environ)) if limits.compression else None
        subprotocol = handshake.subprotocol_of(environ, route.subprotocols or configured.subprotocols)
        connection = Connection(
            client,
            limits,
            text_only=route.text_only,
            deflate=deflate,
            subprotocol=subprotocol,
            breathe=connections.breathe,
        )
        connections.add(connection, address)
        connection.open(handshake.accepted(key, deflate, subprotocol))
        return connection

    def _guarded(self, handler: Handler) -> Handler:
        @wraps(handler)
        def run(ws: Connection, *args: Any, **kwargs: Any) -> None:
            connections = self._simulcast.connections
            ending = CLOSE_CODES[CloseReason.FINISHED]
            try:
                handler(ws, *args, **kwargs)
            except Exception as error:
                ending = _ending_of(error, ws)
                if ending is BUG:
                    connections.metrics.count("websocket_errors_total")
                    _log.exception(
                        "A handler of the WebSocket %s failed. Repair it; the client got 1011.", request.path
                    )
            except BaseException:  # the worker kills it
                ws.cut()
                raise
            finally:
                try:
                    ws.finish(ending)
                finally:
                    connections.remove(ws, request.path)

        return run


def mismatch(_: WebsocketMismatch) -> WebSocketError:
    """For an error handler: Werkzeug answers 400 without a word about WebSocket."""
    if handshake.is_asked(request.environ):
        return HandshakeError("This URL speaks plain HTTP. Send the request without the header Upgrade.")
    return UpgradeRequiredError(handshake.USE_A_CLIENT)


def _check_options(state: BlueprintSetupState) -> None:
    """For an app that a blueprint with our routes is registered on."""
    Options.of(state.app.config)


def _check_origin(allowed: tuple[str, ...]) -> None:
    """A browser sends its cookies along with a WebSocket, from whoever's page, and CORS does not apply to it.

    Raises:
        ForbiddenError: ``origin``.
    """
    origin = request.headers.get("Origin")  # only browsers send one, and they always do
    if not cors.is_allowed(origin, request.host_url.rstrip("/"), allowed):
        raise ForbiddenError(
            "A page of another origin asks for a WebSocket. Name the origin in SIMULCAST_ALLOWED_ORIGINS.", "origin"
        )


def _client_of(environ: dict[str, Any]) -> Any:
    client = environ.get("gunicorn.socket")
    if not is_patched():
        raise NotPatchedError
    if not hasattr(client, "_sock"):
        raise StreamingNotSupportedError(
            "This server does not show its socket, so there is no WebSocket. Run under `gunicorn -k gevent`."
        )
    return client


def _ending_of(error: Exception, ws: Connection) -> CloseCode:
    if isinstance(error, ConnectionClosedError) and not ws.is_open:
        return CLOSE_CODES[CloseReason.FINISHED]  # it has another one already
    if isinstance(error, SimulcastError) and error.status < 500:
        return REFUSED.saying(error.public or str(error))
    return BUG
