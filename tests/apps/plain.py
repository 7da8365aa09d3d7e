"""A small app with every kind of stream, for servers of every kind. It patches nothing."""

from __future__ import annotations

import gc
import os
import threading
import time
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, request

from app.flask_simulcast import Connection, Grant, GuardedSock, Run, RunEndedError, Simulcast, signals

app = Flask(__name__)
app.config.from_mapping({name: value for name, value in os.environ.items() if name.startswith("SIMULCAST_")})
simulcast = Simulcast(app)
sock = GuardedSock(simulcast, app)
heard: list[Any] = []


@signals.event_published.connect
def hear(sender: Flask, event: Any) -> None:
    """Remember who published: a receiver sees the request, wherever it is called."""
    heard.append(request.args.get("by"))


@app.get("/ping")
def ping() -> str:
    """As little as a view can do."""
    return ""


@app.get("/stream/<channel>")
def stream(channel: str) -> Response:
    """One channel, for the user in ``?user=``."""
    user = request.args.get("user", "")
    return simulcast.stream(channel, grant=Grant(user=user), present=bool(user))


@sock.route("/ws/<channel>")
def socket(ws: Connection, channel: str) -> None:
    """One channel as JSON messages, and an echo in between; with ``?block`` in a block."""
    if "block" in request.args:
        ws.send("connected")
        with simulcast.websocket(ws, channel):
            ws.receive()
        return
    subscription = simulcast.subscribe(ws, channel)
    subscription.start()
    ws.send("connected")
    if "hands-over" in request.args:
        ws.on_message = lambda message: ws.send(f"{message}")
        ws.on_close = lambda: heard.append(f"closed {request.path}")
        return
    while True:
        ws.send(ws.receive())


@app.get("/written")
def written() -> Response:
    """A stream that the view writes itself: three numbers, then silence until the client leaves."""
    try:
        with simulcast.writer() as stream:
            stream.start_heartbeat(0.1)
            stream.stream(range(3))
            while "stays" in request.args:
                stream.write_event("more")
                time.sleep(0.05)
            stream.write_done()
    finally:
        heard.append("written")
    return stream.response


def count(run: Run) -> int:
    """Publish numbers, with a pause after each; note where it was stopped."""
    try:
        for number in range(run.meta["events"]):
            run.publish(number, type="progress")
            run.sleep(run.meta["pause"])
    except RunEndedError:
        heard.append(f"stopped {run.id}")
        raise
    return int(run.meta["events"])


@app.post("/runs")
def start_run() -> Response:
    """Start a run of ``?events=`` numbers with pauses of ``?pause=`` seconds."""
    meta = {"events": int(request.args["events"]), "pause": float(request.args.get("pause", 0))}
    return jsonify(id=simulcast.start_run(count, meta=meta).id, pid=os.getpid())


@app.get("/runs/<id>")
def watch_run(id: str) -> Response:
    """Its stream."""
    return simulcast.run_stream(id)


@app.get("/runs/<id>/status")
def run_status(id: str) -> Response:
    """What is known of it."""
    return jsonify(simulcast.run_state(id).status)


@app.delete("/runs/<id>")
def cancel_run(id: str) -> Response:
    """Whether this ended it."""
    return jsonify(simulcast.cancel_run(id))


@app.post("/publish/<channel>")
def publish(channel: str) -> Response:
    """Publish each item of a JSON array; with ``?once`` an item that is sent again is stored once."""
    once = "once" in request.args
    drafts = [
        {"channel": channel, "data": data, "idempotency_key": str(data) if once else None}
        for data in request.get_json()
    ]
    return jsonify([str(event.position) for event in simulcast.publish_many(drafts)])


@app.get("/history/<channel>")
def history(channel: str) -> Response:
    """The newest events."""
    return jsonify([event.data for event in simulcast.history(channel).events])


@app.get("/members/<channel>")
def members(channel: str) -> Response:
    """Who is present."""
    return jsonify([member.member for member in simulcast.members(channel)])


@app.post("/kick/<listener>")
def kick(listener: str) -> str:
    """Close one connection."""
    simulcast.kick(listener)
    return ""


@app.post("/revoke/<user>")
def revoke(user: str) -> str:
    """End a user's streams."""
    simulcast.revoke(user=user)
    return ""


@app.get("/fails")
def fails() -> str:
    """Raise."""
    raise RuntimeError("on purpose")


@app.get("/inspect")
def inspect() -> Response:
    """What is open in this process."""
    gc.collect()
    return jsonify(
        pid=os.getpid(),
        threads=threading.active_count(),
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        listeners=len(simulcast.hub.listeners),
        websockets=len(simulcast.connections.open),
        places=len(simulcast.listeners()),
        heard=heard,
        metrics=simulcast.metrics.snapshot(),
    )
