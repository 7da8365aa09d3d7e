"""Notifications: messages to one user, kept until the user has read them on any device; and notices to everyone."""

from __future__ import annotations

from flask import Flask

from .routes import api, page


def init_app(app: Flask) -> None:
    """Add the routes."""
    app.register_blueprint(page)
    app.register_blueprint(api.blueprint, url_prefix="/api/v1")
