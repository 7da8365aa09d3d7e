"""NDJSON as a Flask response: one JSON object a line."""

from __future__ import annotations

from flask import Request, Response

from ..encoding.ndjson import NDJSON
from .sse import HEADERS
from .stream import Stream


def respond(body: Stream) -> Response:
    """Return a response with a body of lines."""
    response = Response(body, content_type=NDJSON.content_type, headers=HEADERS)
    response.direct_passthrough = True
    return response


def is_wanted(request: Request) -> bool:
    """Tell whether the client asks for lines."""
    accept = request.accept_mimetypes
    return "application/x-ndjson" in request.headers.get("Accept", "") and (
        accept["application/x-ndjson"] >= accept["text/event-stream"]
    )
