"""The service, with the views that a team would write around the hub."""

from __future__ import annotations

from gevent import monkey

if not monkey.is_module_patched("socket"):
    monkey.patch_all()

import json
from typing import Any

from flask import Response, jsonify, request

from app import create_app
from app.extensions import simulcast
from app.flask_simulcast import Event, Listener
from app.flask_simulcast.signals import listener_removed

app = create_app()
_gone: list[str] = []


@listener_removed.connect_via(app)
def note(sender: Any, listener: Listener, **_: Any) -> None:
    """Who has left this worker."""
    _gone.append(listener.id)


@app.get("/gone")
def gone() -> Response:
    """What `note` noted."""
    return jsonify(_gone)


@app.get("/bodies")
def bodies() -> Response:
    """How many bodies this worker waits for."""
    return jsonify(app.extensions["bodies"].reading)


@app.post("/binary")
def binary() -> tuple[Response, int]:
    """Publish what was posted, as bytes."""
    event = simulcast.publish("binary", {"file": request.get_data()}, type="binary-data")
    return jsonify(position=str(event.position)), 201


@app.get("/events")
def events() -> Response:
    """Who listens says who they are, and the route allows it."""
    meta = {"user_id": request.args["user_id"], "username": request.args["username"]}
    return simulcast.sse("lobby", meta=meta, member=request.args["user_id"], present=True)


@app.get("/panics-before")
def panics_before() -> Response:
    """A view that raises before there is a stream."""
    raise RuntimeError("on purpose")


@app.get("/panics-within")
def panics_within() -> Response:
    """A stream whose view raises on what it does not expect."""
    return simulcast.sse("lobby", view=_doubled)


def _doubled(event: Event) -> Event:
    return Event(event.position, event.channel, event.type, json.dumps(json.loads(event.data)["n"] * 2))
