"""Figures: what all workers of this machine have counted since the server was started."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask, current_app

from .extensions import simulcast
from .flask_simulcast.ops import Reporter

_KEY = "simulcast_reporter"


def init_app(app: Flask) -> None:
    """Count the answers of this app. The worker shares its figures from gunicorn's hook or its first request on."""
    path = Path(os.path.abspath(app.config["SIMULCAST_METRICS_FOLDER"]))
    with app.app_context():
        app.extensions[_KEY] = Reporter(app, simulcast.metrics, path, setting="SIMULCAST_METRICS_FOLDER")


def reporter() -> Reporter:
    """Return the reporter of the current app."""
    here: Reporter = current_app.extensions[_KEY]
    return here
