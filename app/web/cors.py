"""Cross-origin answers of the API: who may read them, and what a browser may send. Streams set theirs themselves."""

from __future__ import annotations

from flask import Flask, Request, Response
from flask.globals import request_ctx

from ..extensions import simulcast
from ..flask_simulcast import cors, hot
from .answers import is_api
from .here import this_request


def init_app(app: Flask) -> None:
    """Before all else: a preflight carries no token, and an error must be readable, too."""
    app.before_request(_answer_preflight)
    app.after_request(_add_headers)


def headers_of(request: Request) -> dict[str, str]:
    """Return the headers that let a page of the request's origin read an answer of the API."""
    allowed = simulcast.settings.allowed_origins
    return cors.headers_for(request.headers.get("Origin"), allowed) if allowed else {}


@hot.known
def _answer_preflight() -> Response | None:
    request = this_request()
    if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers or not is_api():
        return None
    adapter = request_ctx.url_adapter
    methods = adapter.allowed_methods() if adapter is not None else ()
    if not methods:
        return None  # there is no such URL: 404, as usual
    asked = request.headers.get("Access-Control-Request-Headers", "")
    headers = cors.preflight_headers(request.headers.get("Origin"), simulcast.settings.allowed_origins, methods, asked)
    return Response(status=204, headers=headers)


@hot.known
def _add_headers(response: Response) -> Response:
    if is_api():
        headers = headers_of(this_request())
        if headers.pop("Vary", None):
            response.vary.add("Origin")
        response.headers.update(headers)
    return response
