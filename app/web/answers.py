"""Answers: a Struct as JSON, and the headers that every answer has."""

from __future__ import annotations

import json
from collections.abc import Iterable

import msgspec
from flask import Flask, Response
from werkzeug.datastructures import Headers

from ..flask_simulcast import hot
from .here import this_request

_API = ("/api/v1/", "/v1/")
# Browsers must not guess another type: an event's data may look like a script. Caches must not keep what only one client may
# see: a ticket, history, lists of members.
_NO_SNIFF, _NO_STORE = ("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store")
_JSON = (("Content-Type", "application/json"), _NO_SNIFF, _NO_STORE)
_HEADERS = Headers(_JSON)
_encode = msgspec.json.Encoder().encode


def init_app(app: Flask) -> None:
    """Set the headers of each answer, errors and streams included."""
    app.after_request(_add_headers)


def as_json(answer: msgspec.Struct, status: int = 200) -> Response:
    """Return a JSON answer with this body. ``msgspec.Raw`` in it is JSON text already, and is written as it is."""
    return Response(_text_of(answer), status, _HEADERS.copy())


def hot_json(answer: msgspec.Struct, status: str, more: Iterable[tuple[str, str]] = ()) -> hot.Reply:
    """Return the same for a hot route."""
    return hot.Reply(status, (*_JSON, *more), _text_of(answer))


def complete(reply: hot.Reply) -> hot.Reply:
    """Return an answer of a hot route with what each answer has."""
    return reply._replace(headers=(*reply.headers, _NO_SNIFF))


def _text_of(answer: msgspec.Struct) -> bytes:
    try:
        return _encode(answer)
    except UnicodeEncodeError:  # half a surrogate pair, which JSON has as an escape alone
        return json.dumps(msgspec.to_builtins(answer)).encode()


def is_api() -> bool:
    """Tell whether the current request is for the API, not for a page of the service."""
    return this_request().path.startswith(_API)


@hot.known
def _add_headers(response: Response) -> Response:
    """Add what is missing; `as_json` has set both already."""
    headers = response.headers
    if headers.get("X-Content-Type-Options") is None:
        headers.add(*_NO_SNIFF)
    if headers.get("Cache-Control") is None and is_api():
        headers.add(*_NO_STORE)
    return response
