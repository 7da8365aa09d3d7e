"""Hot routes: routes that a `StreamWorker` answers itself, before gunicorn's parser and Flask's dispatch see the request.

A handler stands beside the view of its route, and calls what the view calls. It is handed only requests without a doubt, and
answers None whenever it is not sure: then gunicorn and Flask get the same bytes. So errors, redirects and refusals are theirs.

What Flask calls around a view must not be skipped in silence. So hot routes are used only in an app each of whose hooks is
marked with `known`: its author says that hot answers need nothing of it, or that their handlers do what it does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from flask import Flask, Request, request_finished, request_started, request_tearing_down
from flask.sessions import SecureCookieSessionInterface

from .event import Draft, Event
from .hub.hub import Hub
from .transports.stream import Stream

Headers = tuple[tuple[str, str], ...]


class Reply(NamedTuple):
    """The answer of a hot route.

    Attributes:
        status: As WSGI has it: ``201 CREATED``.
        headers: Those that the view's response would have, without Content-Length.
        body: All of it, or a stream.
    """

    status: str
    headers: Headers
    body: bytes | Stream


class Publish(NamedTuple):
    """Events to append. Those of several requests that come at the same time share one append.

    Attributes:
        hub: Appends them.
        drafts: Checked events, without idempotency keys: a conflict of one request must not fail the others.
        reply: Makes the answer from the stored events.
    """

    hub: Hub
    drafts: Sequence[Draft]
    reply: Callable[[Sequence[Event]], Reply]


Handler = Callable[[Request, bytes], Reply | Publish | None]
Hook = Callable[..., Any]
H = TypeVar("H", bound=Hook)

_MARK = "simulcast_known"
_HOST = re.compile(r"(?:[A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{1,63}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:]+\](?::[0-9]{1,5})?")


def known(hook: H, *, wraps: Hook | None = None) -> H:
    """Mark a hook of an app, or a WSGI middleware: hot routes do without it. Return it.

    Args:
        wraps: The WSGI app that the middleware wraps.
    """
    setattr(hook, _MARK, wraps)
    return hook


# What a team can replace in a class or an object, and what a tracing library does replace.
_OF_FLASK = (
    "__call__", "dispatch_request", "do_teardown_request", "finalize_request", "full_dispatch_request", "make_response",
    "preprocess_request", "process_response", "request_context",
)  # fmt: skip
_HOOKS = ("before_request_funcs", "after_request_funcs", "teardown_request_funcs", "url_value_preprocessors")
_SIGNALS = (request_started, request_finished, request_tearing_down)


class HotRoutes:
    """The hot routes of one app.

    Attributes:
        adjusts: Functions that change the environ of each request, as the known middlewares do.
    """

    def __init__(self) -> None:
        self.adjusts: list[Callable[[dict[str, Any]], object]] = []
        self._handlers: dict[str, tuple[Hook, Handler]] = {}

    def add(self, endpoint: str, view: Hook, handler: Handler) -> None:
        """Answer the requests of an endpoint by a handler.

        Args:
            endpoint: Name of a view whose rule has no variables.
            view: The function that Flask calls for it. If another one stands there at the end, the route is not hot.
            handler: Called with the request and its body, in an app context. May switch. If it raises, or returns None, Flask
                answers.
        """
        self._handlers[endpoint] = view, handler

    def handlers(self, app: Flask) -> dict[tuple[str, str], Handler]:
        """Return the handler for each method and path."""
        return {
            (method, rule.rule): handler
            for endpoint, (view, handler) in self._handlers.items()
            if app.view_functions.get(endpoint) is view
            for rule in app.url_map.iter_rules(endpoint)
            for method in ("GET", "POST")
            if method in (rule.methods or ()) and not rule.arguments and not rule.subdomain
        }

    def doubt(self, app: Flask) -> str:
        """Return why this app's requests can't be answered without Flask; empty if they can. Asked once, when all is set up."""
        if app.url_map.host_matching or app.config.get("TRUSTED_HOSTS"):
            return "the host decides which requests are answered"
        if type(app.session_interface) is not SecureCookieSessionInterface:
            return f"{type(app.session_interface).__name__} opens sessions"
        for name in _OF_FLASK:
            if not _is_of_flask(vars(app).get(name) or getattr(type(app), name)):
                return f"{name} of the app is not Flask's own"
        for what, hook in (*_middlewares_of(app), *self._hooks_of(app)):
            if not hasattr(hook, _MARK):
                name = getattr(hook, "__qualname__", type(hook).__qualname__)
                return f"{what} {hook.__module__}.{name} is not marked as known to them"
        return ""

    def may_answer(self, app: Flask, environ: Mapping[str, Any]) -> bool:
        """Tell whether this request can be answered without Flask, whose signals nothing receives now, with a host that it takes,
        and without a session."""
        if _HOST.fullmatch(environ.get("HTTP_HOST", "")) is None:
            return False  # Flask and werkzeug refuse some of these before they look for a view
        is_received = any(True for signal in _SIGNALS if signal.receivers for _ in signal.receivers_for(app))
        return not (is_received or ("HTTP_COOKIE" in environ and app.secret_key))

    def _hooks_of(self, app: Flask) -> Iterator[tuple[str, Hook]]:
        """Yield what Flask calls around the views of these routes."""
        scopes = {None, *(endpoint.rpartition(".")[0] for endpoint in self._handlers)}
        for kind in _HOOKS:
            for scope, hooks in getattr(app, kind).items():
                yield from ((kind, hook) for hook in hooks if scope in scopes)


def _middlewares_of(app: Flask) -> Iterator[tuple[str, Hook]]:
    """Yield the middlewares around Flask's own WSGI app."""
    found: Any = app.wsgi_app
    while found is not None and not _is_of_flask(found):
        yield "the middleware", found
        found = getattr(found, _MARK, Flask.wsgi_app)  # behind one that is not marked it does not matter


def _is_of_flask(function: Any) -> bool:
    return getattr(function, "__module__", "").startswith("flask.") and not hasattr(function, "__wrapped__")
