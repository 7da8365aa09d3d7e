"""The proxies in front: what they report about the client and about the URL under which it sees this service."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

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
        fixed = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops, x_prefix=hops)
        app.wsgi_app = _PlainPrefix(fixed)  # type: ignore[method-assign]


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
