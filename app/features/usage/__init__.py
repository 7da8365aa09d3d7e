"""Usage: records of credits that models used, listed, summed up, and streamed as they come. Sources are polled for more."""

from __future__ import annotations

from flask import Flask

from ...cli import is_command
from . import scheduler
from .calls import record_call
from .routes import api, page

__all__ = ["init_app", "record_call"]


def init_app(app: Flask) -> None:
    """Add the routes and the page, and poll the sources if there are any."""
    app.register_blueprint(page)
    app.register_blueprint(api.blueprint, url_prefix="/api/v1/usage")
    if not is_command():
        scheduler.init_app(app)
