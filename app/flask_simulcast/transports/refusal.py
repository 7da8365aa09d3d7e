"""A refusal by who asks (401, 403): counted, logged, and told so that a native EventSource can read it.

Any status but 200 ends an EventSource for good and shows its page nothing, so "log in again" looks like "the server is down".
"""

from __future__ import annotations

import json
import logging

from flask import Request, Response

from ..encoding.sse import SSE
from ..errors import GrantError
from ..metrics import Metrics
from ..settings import Settings
from . import sse
from .stream import END_ID, closed_data, spread_retry

_REASONS = {401: "unauthorized", 403: "forbidden"}
_TYPE = SSE.content_type.partition(";")[0]

_log = logging.getLogger("flask_simulcast.streams")


def refuse(request: Request, error: GrantError, settings: Settings, metrics: Metrics) -> Response | None:
    """Count and log a refusal.

    Returns:
        What a native EventSource is told: 200 with ``closed``, and 204 once it has come back for that, which ends it without
        another line in the log. None for every other client, and where the settings say so: it gets the status.
    """
    told = None
    if settings.eventsource_refusals and error.status in _REASONS and is_native_event_source(request):
        if sse.is_over(sse.resume_of(request)):
            return Response(status=204)
        goodbye = SSE.notice("closed", closed_data(_REASONS[error.status], reconnect=False), END_ID)
        told = sse.respond(spread_retry(SSE, settings.retry_ms) + goodbye)
    metrics.count("grants_refused_total", label=error.code)
    if _log.isEnabledFor(logging.INFO):
        # The route's name, not the URL: that is the client's text, as long as it likes.
        line = {
            "refused": error.code,
            "status": error.status,
            "route": request.endpoint,
            "is_told_as_200": told is not None,
        }
        _log.info("%s", json.dumps(line))
    return told


def is_native_event_source(request: Request) -> bool:
    """Whether an EventSource asks that a browser brings along.

    It names its type and no other, and can send no header of its page's, so not ``Authorization``. ``Sec-Fetch-Mode`` is set
    by browsers alone, and by no script; of an EventSource it is ``cors``, to its own origin too. They leave it out over plain
    HTTP to any host but localhost.

    Source: WHATWG HTML, 9.2.2; W3C Fetch Metadata Request Headers, 2.3 and 3.
    """
    headers = request.headers
    return (
        request.method == "GET"
        and headers.get("Accept") == _TYPE
        and headers.get("Sec-Fetch-Mode") == "cors"
        and "Authorization" not in headers
    )
