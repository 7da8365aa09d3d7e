"""Is it alive, is it ready."""

from __future__ import annotations

from flask import Flask

from .routes import blueprint


def init_app(app: Flask) -> None:
    """Add the routes, at the root."""
    app.register_blueprint(blueprint)
