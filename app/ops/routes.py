"""``/healthz`` and ``/readyz``."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from ..errors import ApiError
from ..extensions import simulcast

blueprint = Blueprint("ops", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """The process answers."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
def readyz() -> Response:
    """The log can be read (503 ``broker_unavailable`` if not), and this worker is not about to stop."""
    hub = simulcast.hub
    if hub.is_draining:
        raise ApiError(503, "draining", "This worker is about to stop. Ask again: another one answers.")
    return jsonify(status="ok", position=str(hub.broker.head()))
