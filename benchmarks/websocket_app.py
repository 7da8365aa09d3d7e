"""A small app with two WebSocket routes, ours and stock flask-sock's. A POST to a route sends to all its connections."""

from __future__ import annotations

from typing import Any

from flask import Flask, request
from flask_sock import Sock

from app.flask_simulcast import Connection, GuardedSock, Simulcast, text_frame

app = Flask(__name__)
app.config["SIMULCAST_HEARTBEAT_SECONDS"] = 3600  # no ping among the frames
guarded = GuardedSock(Simulcast(app), app)
stock = Sock(app)
_ours: set[Connection] = set()
_theirs: set[Any] = set()


@guarded.route("/ours")
def ours(ws: Connection) -> None:
    """Keep a connection open."""
    _wait(_ours, ws)


@stock.route("/stock")
def theirs(ws: Any) -> None:
    """Keep a stock connection open."""
    _wait(_theirs, ws)


def _wait(crowd: set[Any], ws: Any) -> None:
    crowd.add(ws)
    try:
        while True:
            ws.receive()
    finally:
        crowd.discard(ws)


@app.post("/ours/<int:times>")
def broadcast(times: int) -> str:
    """Send the body to all connections, ``times`` times, as one frame that is made once."""
    frame = text_frame(request.get_data())
    for _ in range(times):
        for ws in list(_ours):
            ws.send_frame(frame)
    return ""


@app.post("/stock/<int:times>")
def broadcast_stock(times: int) -> str:
    """Send the body to all stock connections, ``times`` times."""
    text = request.get_data().decode()
    for _ in range(times):
        for ws in list(_theirs):
            ws.send(text)
    return ""
