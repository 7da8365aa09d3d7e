"""A small app to look into: it says when it publishes, and when it took its last listener away."""

from __future__ import annotations

import time
from typing import Any

from flask import Flask, Response, jsonify, request

from app.flask_simulcast import Simulcast
from app.flask_simulcast.signals import listener_removed

app = Flask(__name__)
simulcast = Simulcast(app)
removed_ns: list[int] = []  # monotonic: the same clock for all processes


@listener_removed.connect
def _removed(sender: object, **facts: Any) -> None:
    removed_ns.append(time.monotonic_ns())


@app.get("/stream")
def stream() -> Response:
    """One channel."""
    return simulcast.sse("bench")


@app.post("/publish")
def publish() -> str:
    """Publish the body, stamped with now: what the request itself took is not the event's latency."""
    data = request.get_json()
    data["t"] = time.monotonic_ns()
    simulcast.publish("bench", data)
    return ""


@app.get("/removed")
def removed() -> Response:
    """When the last listener was taken away, in monotonic ns; null before that."""
    return jsonify(removed_ns[-1] if removed_ns else None)
