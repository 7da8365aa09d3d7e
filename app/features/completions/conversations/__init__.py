"""Conversations: the prompts and answers of one user in order, kept in the database, and told live to the user's other devices."""

from __future__ import annotations

from flask import Flask

from .routes import api
from .sweeper import Sweeper


def init_app(app: Flask) -> None:
    """Add the routes, and end what killed workers have left."""
    Sweeper(app)
    app.register_blueprint(api.blueprint, url_prefix="/api/v1/conversations")
