"""Operations: whether the service is alive and ready, its figures, and what operators watch."""

from __future__ import annotations

from flask import Flask

from . import watching
from .incidents import Incidents
from .lags import Lags
from .past import OpsPast, OpsSampler
from .routes import api


def init_app(app: Flask) -> None:
    """Add the routes, at the root and in the API, and start to keep what operators ask."""
    app.register_blueprint(api.blueprint)
    app.register_blueprint(watching.page)
    app.register_blueprint(watching.api.blueprint, url_prefix="/api/v1/ops")
    OpsPast(app)
    OpsSampler(app)
    Incidents(app)
    Lags(app)
