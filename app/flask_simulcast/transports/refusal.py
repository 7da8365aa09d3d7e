"""Refusals because of the client's grant (401, 403): counted, logged, and answered so that a native EventSource can read them.

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
from .goodbye import END_ID, closed_data, spread_retry

_REASONS = {401: "unauthorized", 403: "forbidden"}
_TYPE = SSE.content_type.partition(";")[0]

_log = logging.getLogger("flask_simulcast.streams")


def refuse(request: Request, error: GrantError, settings: Settings, metrics: Metrics) -> Response | None:
    """Count and log a refusal.

    Returns:
        The answer for a native EventSource: 200 with ``closed``; and 204 when it reconnects after that, which ends it without
        another line in the log. None for every other client, and if the settings turn this off: then the client gets the
        status.
    """
    told = None
    if settings.eventsource_refusals and error.status in _REASONS and is_native_event_source(request):
        if sse.is_over(sse.resume_of(request)):
            return Response(status=204)
        goodbye = SSE.notice("closed", closed_data(_REASONS[error.status], reconnect=False), END_ID)
        told = sse.respond(spread_retry(SSE, settings.retry_ms) + goodbye)
    metrics.count("grants_refused_total", label=error.code)
    if _log.isEnabledFor(logging.INFO):
        # The route's name, not the URL: the client chooses the URL's text and length.
        line = {
            "refused": error.code,
            "status": error.status,
            "route": request.endpoint,
            "is_told_as_200": told is not None,
        }
        _log.info("%s", json.dumps(line))
    return told


def is_native_event_source(request: Request) -> bool:
    """Tell whether the request comes from a browser's built-in EventSource.

    An EventSource accepts its own type and no other. Its page can't add headers to its request, so it has no
    ``Authorization``. Only browsers set ``Sec-Fetch-Mode``; scripts can't. For an EventSource it is ``cors``, also to its own
    origin. Browsers leave it out over plain HTTP to any host but localhost.

    Source: WHATWG HTML, 9.2.2; W3C Fetch Metadata Request Headers, 2.3 and 3.
    """
    headers = request.headers
    return (
        request.method == "GET"
        and headers.get("Accept") == _TYPE
        and headers.get("Sec-Fetch-Mode") == "cors"
        and "Authorization" not in headers
    )
