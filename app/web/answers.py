"""Answers: a Struct as JSON, and the headers that every answer has."""

from __future__ import annotations

import msgspec
from flask import Flask, Response, request

_API = ("/api/v1/", "/v1/")
_encode = msgspec.json.Encoder().encode


def init_app(app: Flask) -> None:
    """Set the headers of each answer, errors and streams included."""
    app.after_request(_add_headers)


def as_json(answer: msgspec.Struct, status: int = 200) -> Response:
    """Return a JSON answer with this body. ``msgspec.Raw`` in it is JSON text already, and is written as it is."""
    return Response(_encode(answer), status, content_type="application/json")


def is_api() -> bool:
    """Tell whether the current request is for the API, not for a page of the service."""
    return request.path.startswith(_API)


def _add_headers(response: Response) -> Response:
    """Forbid browsers to guess another type (an event's data may look like a script), and caches to keep what only one client
    may see: a ticket, history, lists of members."""
    response.headers.add("X-Content-Type-Options", "nosniff")
    if is_api() and "Cache-Control" not in response.headers:
        response.headers.add("Cache-Control", "no-store")
    return response
