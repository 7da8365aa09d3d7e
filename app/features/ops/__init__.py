"""Operations: whether the service is alive, whether it is ready, and its figures."""

from __future__ import annotations

from flask import Flask

from .routes import api


def init_app(app: Flask) -> None:
    """Add the routes, at the root."""
    app.register_blueprint(api.blueprint)
