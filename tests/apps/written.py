"""Views that write their streams themselves, and a window into their worker."""

from __future__ import annotations

from gevent import monkey

if not monkey.is_module_patched("socket"):
    monkey.patch_all()

import http.client
import logging
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import gevent.queue
from flask import Flask, Response, abort, jsonify, request

from app.flask_simulcast import Simulcast
from tests.tools.living import living_greenlets, take_as_given

logging.basicConfig(level=logging.INFO)
app = Flask(__name__)
app.config["SIMULCAST_BROKER_URL"] = "memory://"
app.config["SIMULCAST_STALL_SECONDS"] = os.environ.get("SIMULCAST_STALL_SECONDS")
simulcast = Simulcast(app)
take_as_given()
queues: defaultdict[str, gevent.queue.Queue[Any]] = defaultdict(gevent.queue.Queue)
closed_at: dict[str, float] = {}  # when a view's `finally` ran, on the clock that all processes share


@app.get("/inspect")
def inspect() -> Response:
    """Greenlets, descriptors, counters, and when which view ended."""
    return jsonify(
        greenlets=living_greenlets(),
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        metrics=simulcast.metrics.snapshot(),
        closed_at=closed_at,
    )


@app.get("/ping")
def ping() -> str:
    """As little as a view can do."""
    return ""


@app.post("/queue/<name>")
def put(name: str) -> str:
    """Put the items of a JSON array; the text ``END`` ends the queue."""
    for item in request.get_json():
        queues[name].put(StopIteration if item == "END" else item)
    return ""


@app.get("/queue/<name>")
def stream_queue(name: str) -> Response:
    """Stream what is put, with a heartbeat every few seconds if asked."""
    try:
        with simulcast.writer() as stream:
            if "heartbeat" in request.args:
                stream.start_heartbeat(float(request.args["heartbeat"]))
            if "hello" in request.args:
                stream.write_event("hello")
            stream.stream_from(queues[name], queues[f"{name}.errors"])
            stream.write_done()
    finally:
        closed_at[name] = time.monotonic()
    return stream.response


@app.route("/waits/<name>", methods=["GET", "POST"])
def waits(name: str) -> Response:
    """The view waits by itself, not in a function of ours. A posted body is read, unless it is a file."""
    if request.is_json:
        request.get_json()

    def tokens() -> Iterator[object]:
        try:
            while True:
                yield queues[name].get()
        finally:
            closed_at[name] = time.monotonic()

    with simulcast.writer() as stream:
        stream.write_event("hello")
        for token in tokens():
            stream.write_event(token)
    return stream.response


@app.get("/upstream/<int:port>")
def relay(port: int) -> Response:
    """Each line of an upstream as an event. Tries again on any error, as clients of LLMs do."""
    with simulcast.writer() as stream:
        if "hello" in request.args:
            stream.write_event("hello")
        for _ in range(3):
            upstream = http.client.HTTPConnection("127.0.0.1", port)
            try:
                upstream.request("GET", "/")
                for line in upstream.getresponse():
                    stream.write_raw_event(line.decode().rstrip("\n"))
                break
            except OSError:
                gevent.sleep(0.05)
            finally:
                upstream.close()
        stream.write_done()
    return stream.response


@app.get("/fails/<when>")
def fails(when: str) -> Response:
    """Before the first write, or after it."""
    with simulcast.writer() as stream:
        if when == "unknown":
            abort(404)
        if when == "before":
            raise RuntimeError("password=hunter2")
        stream.write_event(1)
        if when == "killed":
            raise gevent.GreenletExit
        raise RuntimeError("password=hunter2")
    return stream.response


@app.get("/fails/later")
def fails_later() -> Response:
    """Raise after the stream, when the client can't be told."""
    with simulcast.writer() as stream:
        stream.write_event(1)
    raise RuntimeError("password=hunter2")


@app.get("/rows/<int:count>")
def rows(count: int) -> Response:
    """An export, as fast as the client takes it."""
    with simulcast.writer() as stream:
        stream.stream({"id": number, "name": "x" * 60} for number in range(count))
        stream.write_done()
    return stream.response


@app.get("/slowly/<int:count>")
def slowly(count: int) -> Response:
    """One event each 100 ms."""
    with simulcast.writer() as stream:
        for number in range(count):
            stream.write_event(number)
            gevent.sleep(0.1)
        stream.write_done()
    return stream.response
