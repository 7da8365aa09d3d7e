"""Documents: the pages of ``docs/`` with their search, and a page on which the routes can be tried."""

from __future__ import annotations

from flask import Flask

from .routes import page


def init_app(app: Flask) -> None:
    """Add the pages."""
    app.register_blueprint(page)
