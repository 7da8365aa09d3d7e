"""A small app with two WebSocket routes, ours and stock flask-sock's, and a request that sends to everyone on one of them."""

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
    """Waits."""
    _wait(_ours, ws)


@stock.route("/stock")
def theirs(ws: Any) -> None:
    """Waits as well."""
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
    """The body as one frame, made once, to everyone; so many times."""
    frame = text_frame(request.get_data())
    for _ in range(times):
        for ws in list(_ours):
            ws.send_frame(frame)
    return ""


@app.post("/stock/<int:times>")
def broadcast_stock(times: int) -> str:
    """The same with what the stock server has."""
    text = request.get_data().decode()
    for _ in range(times):
        for ws in list(_theirs):
            ws.send(text)
    return ""
