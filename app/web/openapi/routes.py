"""``GET /openapi.json``."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Blueprint, Flask, Response, current_app, request

from ...flask_simulcast import __version__
from . import document
from .operation import JSON, Operation, describes

blueprint = Blueprint("openapi", __name__)
_KEY = "simulcast_openapi"


@blueprint.get("/openapi.json")
@describes(Operation(answers={200: {JSON: dict[str, Any]}}))
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
