"""Error responses: the answer to a client when the extension raises an error in its request."""

from __future__ import annotations

import logging

from flask import Response, jsonify, request

from . import cors
from .app_state import AppState, current_state
from .errors import GrantError, SimulcastError
from .transports.refusal import refuse
from .transports.sse import is_event_source, turned_away

_TRY_AGAIN = (429, 503)

_log = logging.getLogger("flask_simulcast")


def as_response(error: SimulcastError, challenge: str) -> Response:
    """Return the answer to the current request: the error's code and message. Errors of the set-up are raised again.

    An EventSource gets status 200 and a ``closed`` event, both if it may reconnect and if its grant was refused: any other
    status would end it for good, without a message.

    Args:
        error: The error that was raised.
        challenge: Value of ``WWW-Authenticate`` in a 401, or empty.
    """
    if error.status == 500:
        raise error
    if error.public is not None:
        _log.warning("%s", error)
    state = current_state()
    response = _for_event_source(error, state) or _as_json(error, challenge)
    response.headers.update(cors.headers_for(request.headers.get("Origin"), state.settings.allowed_origins))
    return response


def _for_event_source(error: SimulcastError, state: AppState) -> Response | None:
    """Return the answer for an EventSource; None for every other client."""
    if error.status in _TRY_AGAIN and is_event_source(request):
        return turned_away(state.settings.retry_ms, error.code)
    if isinstance(error, GrantError):
        return refuse(request, error, state.settings, state.metrics)
    return None


def _as_json(error: SimulcastError, challenge: str) -> Response:
    response = jsonify(error={"code": error.code, "message": error.public or str(error)})
    response.status_code = error.status
    if error.status in _TRY_AGAIN:
        response.headers["Retry-After"] = "1"
    elif error.status == 401 and challenge:
        response.headers["WWW-Authenticate"] = challenge
    elif error.status == 426:
        response.headers.update({"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"})
    return response
