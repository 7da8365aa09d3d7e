"""The routes of this service as an OpenAPI document, made from what stands next to them."""

from __future__ import annotations

import logging

from flask import Flask

from .routes import api

_log = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    """Add the route."""
    app.register_blueprint(api.blueprint)
    if __doc__ is None:
        _log.warning(
            "Python runs without docstrings (-OO), so /openapi.json describes no operation, and commands have no help. "
            "Use -O instead, or PYTHONOPTIMIZE=1."
        )
