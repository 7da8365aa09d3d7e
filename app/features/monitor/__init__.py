"""Monitor: the load of this machine and of the service, for dashboards."""

from __future__ import annotations

from flask import Flask

from .routes import api, page
from .samplers import DashboardSampler, MetricsPast, StatusSampler


def init_app(app: Flask) -> None:
    """Add the routes, and start to watch for listeners."""
    app.register_blueprint(page)
    app.register_blueprint(api.blueprint, url_prefix="/api/v1/dashboard")
    MetricsPast(app)
    DashboardSampler(app)
    if app.config["SIMULCAST_SYSTEM_STATUS"]:
        StatusSampler(app)
