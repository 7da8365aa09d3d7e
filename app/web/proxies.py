"""The proxies in front: what they report about the client and about the URL under which it sees this service."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from ..extensions import simulcast
from ..flask_simulcast import hot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_HEADER = "HTTP_X_FORWARDED_PREFIX"
# Plain segments only. The prefix begins every link of a page, and //evil.example would be another host.
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+/?", re.ASCII)


def init_app(app: Flask) -> None:
    """Trust ``SIMULCAST_PROXY_HOPS`` proxies on the address, scheme, host and path prefix."""
    hops = app.config["SIMULCAST_PROXY_HOPS"]
    if hops:
        app.wsgi_app = hot.known(_believing(app.wsgi_app, hops), wraps=app.wsgi_app)  # type: ignore[method-assign]


def init_hot_routes(app: Flask) -> None:
    """Trust them in hot routes, too."""
    hops = app.config["SIMULCAST_PROXY_HOPS"]
    if hops:
        believing = _believing(lambda environ, start_response: (), hops)
        simulcast.hot_routes(app).adjusts.append(lambda environ: believing(environ, _start_nothing))


def _believing(app: WSGIApplication, hops: int) -> _PlainPrefix:
    return _PlainPrefix(ProxyFix(app, x_for=hops, x_proto=hops, x_host=hops, x_prefix=hops))


def _start_nothing(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
    """Stand for a server's ``start_response`` where there is no response."""


class _PlainPrefix:
    """Middleware that removes an ``X-Forwarded-Prefix`` that is not a path: a proxy without a prefix forwards the client's."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if _HEADER in environ:
            prefixes = [prefix.strip() for prefix in environ.pop(_HEADER).split(",")]
            if all(map(_PREFIX.fullmatch, prefixes)):
                environ[_HEADER] = ",".join(prefix.rstrip("/") for prefix in prefixes)
        return self._app(environ, start_response)
