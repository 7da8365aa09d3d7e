"""Chat: rooms in which people talk, see who is there, and find earlier messages."""

from __future__ import annotations

from flask import Flask

from . import limits, socket
from .routes import api, page


def init_app(app: Flask) -> None:
    """Add the routes, and the token buckets that limit floods."""
    limits.init_app(app)
    app.register_blueprint(page)
    app.register_blueprint(api.blueprint, url_prefix="/api/v1/chat")
    app.register_blueprint(socket.api.blueprint)
