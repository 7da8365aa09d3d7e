"""Server-sent events as a Flask response."""

from __future__ import annotations

from flask import Request, Response

from ..encoding.sse import SSE
from .stream import END_ID, Stream, closed_data, spread_retry

# No Connection and no Transfer-Encoding: WSGI forbids them, the server sets them.
HEADERS = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}


def respond(body: Stream | bytes) -> Response:
    """A body of events as a response. Straight through: one layer of generators less for each chunk."""
    response = Response(body, content_type=SSE.content_type, headers=HEADERS)
    response.direct_passthrough = isinstance(body, Stream)
    return response


def resume_of(request: Request) -> str | None:
    """What the client says it has. The header first: a browser that reconnects knows better than the page's URL."""
    header = request.headers.get("Last-Event-ID")
    if header:
        return header
    return request.args.get("last_event_id") or request.args.get("lastEventId") or None


def is_over(resume: str | None) -> bool:
    """Whether this client was told that there is nothing more to come."""
    return resume == END_ID


def is_event_source(request: Request) -> bool:
    """Whether a browser's EventSource asks: it gets, names the type, and takes no other."""
    return request.method == "GET" and request.headers.get("Accept", "").startswith("text/event-stream")


def turned_away(retry_ms: int, code: str) -> Response:
    """For an EventSource that can't be taken on now. Any status but 200 would end it for ever."""
    goodbye = SSE.notice("closed", closed_data(code, reconnect=True), "")
    return respond(spread_retry(SSE, retry_ms) + goodbye)
