"""Is it alive, is it ready, what has it done."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask

from ...extensions import simulcast
from .reporter import Reporter
from .routes import api


def init_app(app: Flask) -> None:
    """Add the routes, at the root. The figures are shared with other workers from the first question on, or from when
    gunicorn's hook starts that."""
    path = Path(os.path.abspath(app.config["SIMULCAST_METRICS_FOLDER"]))
    with app.app_context():
        app.extensions["reporter"] = Reporter(app, simulcast.metrics, path)
    app.register_blueprint(api.blueprint)
