"""GuardedSock: flask-sock's routes, with a connection that is guarded.

flask-sock carries a route: it registers it, runs the handler in the request, and ends the response. Underneath, it makes a
``simple_websocket.Server``; here a `Connection` stands in for that, and everything that may refuse a client comes before it.
What the stock server gets wrong under gevent is in `docs/websocket.md`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial, wraps
from types import FunctionType
from typing import Any, Protocol

from flask import Blueprint, Flask, request
from flask_sock import Sock
from werkzeug.routing.exceptions import WebsocketMismatch

from ..errors import (
    ConnectionClosedError,
    ForbiddenError,
    HandshakeError,
    NotPatchedError,
    SimulcastError,
    StreamingNotSupportedError,
    UpgradeRequiredError,
    WebSocketError,
)
from ..listener import CloseReason
from ..loop import is_patched
from ..transports import cors
from ..transports.address import limited_address
from . import handshake
from .connection import Connection
from .connections import Connections
from .deflate import agreed
from .endings import BUG, ENDINGS, REFUSED, Ending
from .limits import Limits

Handler = Callable[..., object]
_log = logging.getLogger("flask_simulcast")


class Owner(Protocol):
    """What a `Simulcast` has of the current app."""

    @property
    def connections(self) -> Connections:
        """Its WebSockets in this process."""


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
        super().__init__(app)

    def route(
        self,
        path: str,
        bp: Blueprint | None = None,
        *,
        before: Callable[..., object] | None = None,
        text_only: bool = False,
        limits: Mapping[str, Any] | None = None,
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
            options: As of ``app.route``.
        """
        Limits(**limits or {})  # a wrong name must not wait for the first client
        upgrade = partial(self._upgrade, before=before, text_only=text_only, limits=limits or {})

        def decorator(handler: Handler) -> Handler:
            _route_with(upgrade)(self, path, bp, **options)(self._guarded(handler))
            return handler

        return decorator

    def _upgrade(
        self,
        environ: dict[str, Any],
        *,
        before: Callable[..., object] | None,
        text_only: bool,
        limits: Mapping[str, Any],
        **_: object,  # flask-sock's SOCK_SERVER_OPTIONS are for the other server
    ) -> Connection:
        """What flask-sock calls for a server."""
        connections = self._simulcast.connections
        try:
            key = handshake.check(environ)
            _check_origin(connections.settings.allowed_origins)
            if before is not None:
                before(**request.view_args or {})
            address = limited_address(request, connections.settings)
            connections.check_room(address)  # after whatever may have switched: none comes in behind a drain
            client = _client_of(environ)
        except SimulcastError as error:
            connections.metrics.count("websocket_refused_total", label=error.code)
            raise
        bounds = Limits.of(connections.settings, **limits)
        deflate = agreed(handshake.offers(environ)) if bounds.compression else None
        connection = Connection(client, bounds, text_only=text_only, deflate=deflate, breathe=connections.breathe)
        connections.add(connection, address)
        connection.open(handshake.accepted(key, deflate))
        return connection

    def _guarded(self, handler: Handler) -> Handler:
        @wraps(handler)
        def run(ws: Connection, *args: Any, **kwargs: Any) -> None:
            connections = self._simulcast.connections
            ending = ENDINGS[CloseReason.FINISHED]
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


def _route_with(server: Callable[..., Connection]) -> Callable[..., Any]:
    """flask-sock's ``route``, with another server.

    flask-sock names its server in a global of its module and leaves no other way to choose one. A copy of the function with a
    global of its own changes nothing for who uses flask-sock beside us.
    """
    stock = Sock.route
    ours = stock.__globals__ | {"Server": server, "ConnectionClosed": ConnectionClosedError}
    return FunctionType(stock.__code__, ours, stock.__name__, stock.__defaults__, stock.__closure__)


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


def _ending_of(error: Exception, ws: Connection) -> Ending:
    if isinstance(error, ConnectionClosedError) and not ws.is_open:
        return ENDINGS[CloseReason.FINISHED]  # it has another one already
    if isinstance(error, SimulcastError) and error.status < 500:
        return REFUSED.saying(error.public or str(error))
    return BUG
