"""A small app for measurements: it reports when it publishes, and when it removed its last listener."""

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
    """Stream one channel."""
    return simulcast.sse("bench")


@app.post("/publish")
def publish() -> str:
    """Publish the body with the current time: the duration of the request must not count as latency of the event."""
    data = request.get_json()
    data["t"] = time.monotonic_ns()
    simulcast.publish("bench", data)
    return ""


@app.get("/removed")
def removed() -> Response:
    """Return the monotonic ns at which the last listener was removed; null before that."""
    return jsonify(removed_ns[-1] if removed_ns else None)
