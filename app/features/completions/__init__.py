"""Completions: answers of a language model, by OpenAI's protocol. Each answer is a run, so it survives a reload."""

from __future__ import annotations

from flask import Flask

from . import answers, conversations, limits, sources, ui
from .routes import api, page
from .signals import completion_ended

__all__ = ["completion_ended", "init_app"]


def init_app(app: Flask) -> None:
    """Add the routes, the limits, and the source of answers that the settings name."""
    answers.init_app(app)
    sources.init_app(app)
    limits.init_app(app)
    app.register_blueprint(page)
    app.register_blueprint(api.blueprint, url_prefix="/v1")
    app.register_blueprint(ui.api.blueprint, url_prefix="/api/v1/completions/ui")
    conversations.init_app(app)
