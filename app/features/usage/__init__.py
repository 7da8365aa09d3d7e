"""Usage: records of credits that models used, listed, summed up, and streamed as they come."""

from __future__ import annotations

from flask import Flask

from .routes import api


def init_app(app: Flask) -> None:
    """Add the routes."""
    app.register_blueprint(api.blueprint, url_prefix="/api/v1/usage")
