"""``GET /asyncapi.json``."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Response, current_app, request

from ....flask_simulcast import __version__
from ....web.api import Api
from ....web.body import JSON
from . import document

api = Api("asyncapi", __name__)


@api.get("/asyncapi.json", needs=None, answers={200: dict[str, Any]})
def asyncapi() -> Response:
    """Return the AsyncAPI document: the events of the stream, and the messages of the WebSocket."""
    described = document.build(version=__version__, cookie=current_app.config.get("SIMULCAST_JWT_COOKIE", ""))
    here = {"host": request.host, "pathname": request.script_root or "/"}
    described["servers"] = {
        "http": {**here, "protocol": request.scheme},
        "ws": {**here, "protocol": "wss" if request.is_secure else "ws"},
    }
    return Response(msgspec.json.encode(described), content_type=JSON)
