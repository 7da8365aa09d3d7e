"""A stream as a Flask response, and what is of server-sent events alone."""

from __future__ import annotations

from flask import Request, Response

from ..encoding.sse import SSE
from .goodbye import END_ID, closed_data, spread_retry
from .stream import Stream

# No Connection and no Transfer-Encoding: WSGI forbids them, the server sets them.
HEADERS = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}


def respond(body: Stream | bytes, content_type: str = SSE.content_type) -> Response:
    """Return a response with a body of events. A stream passes directly, which saves a layer of generators for each chunk."""
    response = Response(body, content_type=content_type, headers=HEADERS)
    response.direct_passthrough = isinstance(body, Stream)
    return response


def resume_of(request: Request) -> str | None:
    """Return the position that the client says it has. The header wins: after a reconnect it is newer than the URL."""
    header: str | None = request.environ.get("HTTP_LAST_EVENT_ID")
    if header:
        return header
    return request.args.get("last_event_id") or request.args.get("lastEventId") or None


def is_over(resume: str | None) -> bool:
    """Tell whether this client was told that its stream has ended for good."""
    return resume == END_ID


def is_event_source(request: Request) -> bool:
    """Tell whether the request comes from a browser's EventSource: a GET that accepts ``text/event-stream`` first of all."""
    return request.method == "GET" and request.headers.get("Accept", "").startswith("text/event-stream")


def turned_away(retry_ms: int, code: str) -> Response:
    """Return the answer for an EventSource that can't be accepted now. Any status but 200 would end it for good."""
    goodbye = SSE.notice("closed", closed_data(code, reconnect=True), "")
    return respond(spread_retry(SSE, retry_ms) + goodbye)
