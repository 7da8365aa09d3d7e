"""The extension over HTTP: listen, publish, history, presence, kick; and all of it over one WebSocket."""

from __future__ import annotations

from flask import Flask

from . import asyncapi, hot, ws
from .routes import api, page


def init_app(app: Flask) -> None:
    """Add the routes."""
    app.register_blueprint(page)
    app.register_blueprint(api.blueprint, url_prefix="/api/v1")
    app.register_blueprint(ws.api.blueprint)
    app.register_blueprint(asyncapi.api.blueprint)
    hot.init_app(app)
