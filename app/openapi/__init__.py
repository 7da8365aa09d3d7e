"""The routes of this service as an OpenAPI document, made from what stands next to them."""

from __future__ import annotations

from flask import Flask

from .routes import blueprint


def init_app(app: Flask) -> None:
    """Add the route."""
    app.register_blueprint(blueprint)
