"""Wukongs: monitored instances that report their status. This machine and its workers are built-in wukongs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask


def init_app(app: Flask) -> None:
    """Add the routes and the ``flask`` commands, and start to watch for listeners.

    The agent imports this package, and nothing of the service: so all of that comes later.
    """
    from . import cli, socket, waits
    from .routes import api, page
    from .sampler import WukongSampler

    waits.init_app(app)
    cli.init_app(app)
    app.register_blueprint(page)
    app.register_blueprint(api.blueprint, url_prefix="/api/v1/wukongs")
    app.register_blueprint(socket.api.blueprint)
    WukongSampler(app)
    if app.config["SIMULCAST_RPC"]:
        from .rpc import blueprint  # with protobuf: a service without RPC starts without it

        app.register_blueprint(blueprint())
