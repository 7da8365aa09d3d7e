"""``GET /openapi.json``."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Flask, Response, current_app, request

from ...flask_simulcast import __version__
from ..api import Api
from ..body import JSON
from . import document

api = Api("openapi", __name__)
_KEY = "simulcast_openapi"


@api.get("/openapi.json", needs=None, answers={200: dict[str, Any]})
def openapi() -> Response:
    """This document."""
    document = _document(current_app)
    if request.script_root:  # the service is below a prefix that a proxy strips
        document = b'{"servers":' + msgspec.json.encode([{"url": request.script_root}]) + b"," + document[1:]
    return Response(document, content_type=JSON)


def _document(app: Flask) -> bytes:
    """Made when it is first asked for: by then all routes are there."""
    if _KEY not in app.extensions:
        built = document.build(app, version=__version__, cookie=app.config.get("SIMULCAST_JWT_COOKIE", ""))
        app.extensions[_KEY] = msgspec.json.encode(built)
    return app.extensions[_KEY]  # type: ignore[no-any-return]
