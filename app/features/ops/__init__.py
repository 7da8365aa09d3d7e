"""Operations: whether the service is alive, whether it is ready, and its figures."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask

from ...extensions import simulcast
from ...flask_simulcast.ops import Reporter
from .routes import api


def init_app(app: Flask) -> None:
    """Add the routes, at the root. The worker shares its figures from gunicorn's hook or its first request on."""
    path = Path(os.path.abspath(app.config["SIMULCAST_METRICS_FOLDER"]))
    with app.app_context():
        app.extensions["reporter"] = Reporter(app, simulcast.metrics, path, setting="SIMULCAST_METRICS_FOLDER")
    app.register_blueprint(api.blueprint)
