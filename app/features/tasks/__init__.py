"""Tasks: work that takes the processor for seconds. Clients watch its progress, cancel it, and fetch its result."""

from __future__ import annotations

from flask import Flask

from . import service
from .routes import api, page


def init_app(app: Flask) -> None:
    """Add the routes, and make the place of the tasks' files ready."""
    service.init_app(app)
    app.register_blueprint(page)
    app.register_blueprint(api.blueprint, url_prefix="/api/v1/process")
