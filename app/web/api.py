"""Api: a blueprint on which each view and each WebSocket states its `Route`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

from flask import Blueprint

from ..extensions import simulcast, sock
from ..flask_simulcast import Connection
from .farewell import farewell_of
from .route import Route

_VARIABLE = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")
_ATTRIBUTE = "route"

F = TypeVar("F", bound=Callable[..., Any])


class Api:
    """The routes of a feature::

        @api.post("/broadcast", needs=Publish("all"), body=DRAFT, publishes=1, answers={201: schemas.Published})
        def broadcast(body: schemas.Draft) -> schemas.Published:

    Args:
        path: The types of all variables in its rules.

    Attributes:
        blueprint: The blueprint to register with the app.
    """

    def __init__(self, name: str, import_name: str, path: Mapping[str, Any] | None = None) -> None:
        self.blueprint = Blueprint(name, import_name)
        self._path = path or {}

    def get(self, rule: str, **said: Any) -> Callable[[F], F]:
        """Attach a view. ``said`` are the fields of `Route`, without its path."""
        return self._attach("GET", rule, said)

    def post(self, rule: str, **said: Any) -> Callable[[F], F]:
        """As `get`."""
        return self._attach("POST", rule, said)

    def put(self, rule: str, **said: Any) -> Callable[[F], F]:
        """As `get`."""
        return self._attach("PUT", rule, said)

    def delete(self, rule: str, **said: Any) -> Callable[[F], F]:
        """As `get`."""
        return self._attach("DELETE", rule, said)

    def websocket(
        self, rule: str, *, before: Callable[..., object] | None = None, limits: Any = None, **said: Any
    ) -> Callable[[F], F]:
        """Attach the handler of a WebSocket, which speaks text. It gets the connection, the path and the query. The right, the
        query and the capacity are checked before the handshake, when a refusal can still be answered as HTTP; then a ticket is
        spent.

        Args:
            before: Called with the variables of the path, after the right.
            limits: As in `GuardedSock.route`.
            said: The fields of `Route`, without path, answers and errors.
        """
        route = self._route(rule, {"answers": {101: None}, "errors": (426, 429, 503), **said})

        def check(**path: str) -> None:
            grant = route.admit(path)
            route.query_of()
            if before is not None:
                before(**path)
            simulcast.check_capacity(grant)
            simulcast.spend_ticket()

        def attach(handler: F) -> F:
            @wraps(handler)
            def run(ws: Connection, **path: str) -> None:
                ws.farewell = farewell_of(simulcast.settings.retry_ms)
                handler(ws, **path, **route.query_of())

            setattr(run, _ATTRIBUTE, route)
            sock.route(rule, self.blueprint, before=check, text_only=True, limits=limits)(run)
            return handler

        return attach

    def _attach(self, method: str, rule: str, said: dict[str, Any]) -> Callable[[F], F]:
        route = self._route(rule, said)

        def attach(view: F) -> F:
            @wraps(view)
            def serve(**path: str) -> Any:
                return route.serve(view, path)

            setattr(serve, _ATTRIBUTE, route)
            # A variable may have slashes, even two in a row: many user names are URLs.
            self.blueprint.add_url_rule(rule, view_func=serve, methods=[method], merge_slashes="<path:" not in rule)
            return view

        return attach

    def _route(self, rule: str, said: dict[str, Any]) -> Route:
        return Route(path={name: self._path[name] for name in _VARIABLE.findall(rule)}, **said)


def route_of(view: Callable[..., Any] | None) -> Route | None:
    """Return the route of a view; None for a page or a file."""
    return getattr(view, _ATTRIBUTE, None)
