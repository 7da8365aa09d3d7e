"""Home: the first page."""

from __future__ import annotations

from flask import Flask

from .routes import page


def init_app(app: Flask) -> None:
    """Add the page."""
    app.register_blueprint(page)
