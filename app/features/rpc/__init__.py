"""RPC: publish and listen by Connect and gRPC-Web, on the port of everything else."""

from __future__ import annotations

from flask import Flask

from .routes import calls


def init_app(app: Flask) -> None:
    """Add the calls, if the operator has asked for them."""
    if app.config["SIMULCAST_RPC"]:
        app.register_blueprint(calls(reflection=app.config["SIMULCAST_RPC_REFLECTION"]))
