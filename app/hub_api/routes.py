"""``GET /stream`` and ``POST /events``."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify, request

from .. import auth, body
from ..extensions import simulcast
from . import service

blueprint = Blueprint("hub_api", __name__)


@blueprint.get("/stream")
def stream() -> Response:
    """Listen to the channels of ``?channel=a&channel=b``: SSE, or NDJSON by ``Accept``."""
    channels = request.args.getlist("channel")
    auth.require_listen(channels)
    return simulcast.stream(channels)


@blueprint.post("/events")
def publish() -> tuple[Response, int]:
    """Publish one event, an array of them, or NDJSON; all or none. Answers their positions."""
    auth.require_publish()
    events = service.read_events(body.read(), request.mimetype, most=current_app.config["SIMULCAST_MAX_BATCH_EVENTS"])
    published = simulcast.publish_many(events)
    return jsonify(positions=[str(event.position) for event in published]), 201
