"""The service, with a window into its worker: what it holds, as figures."""

from __future__ import annotations

from gevent import monkey

if not monkey.is_module_patched("socket"):
    monkey.patch_all()

import gc
import os
import socket
from pathlib import Path
from typing import Any

from flask import Request, Response, jsonify, request
from gevent import get_hub

from app import create_app
from app.extensions import simulcast
from app.flask_simulcast import Run, hot
from tests.tools.living import living_greenlets, take_as_given

app = create_app()
take_as_given()


@app.get("/inspect")
def inspect() -> Response:
    """Listeners, channels, audiences, greenlets, descriptors, turns of the loop, counters."""
    gc.collect()
    hub: Any = simulcast.hub
    return jsonify(
        pid=os.getpid(),
        listeners=len(hub.listeners),
        parked=sum(listener.is_parked for listener in hub.listeners),
        channels=len(hub._switchboard.channels),
        audiences=len(hub._switchboard.audiences),
        greenlets=living_greenlets(),
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        turns=get_hub().loop.iteration,
        metrics=simulcast.metrics.snapshot(),
    )


@app.post("/inspect/runs/<id>")
def start_run(id: str) -> str:
    """Start a run that says one word, and lasts until it is cancelled."""

    def produce(run: Run) -> None:
        run.publish("begun")
        run.sleep(60)

    simulcast.start_run(produce, id=id)
    return ""


@app.delete("/inspect/runs/<id>")
def cancel_run(id: str) -> str:
    """End it."""
    simulcast.cancel_run(id)
    return ""


@app.get("/inspect/requests")
def inspect_requests() -> Response:
    """The requests that are still in memory, without this one. It collects no garbage first."""
    return jsonify(sum(isinstance(each, Request) for each in gc.get_objects()) - 1)


@app.get("/inspect/socket")
def inspect_socket() -> Response:
    """Options of this very connection, which it inherited from the listening socket."""
    client = request.environ["gunicorn.socket"]
    return jsonify(
        user_timeout_ms=client.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
        keepalive=client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    )


@app.get("/rows/<int:count>")
def rows(count: int) -> Response:
    """Write a number of rows; the last one can't be written if ``?broken=1``."""
    broken = [object()] if "broken" in request.args else []
    return simulcast.json_rows("rows", [*({"id": n, "name": "x" * 60} for n in range(count)), *broken])


@app.post("/unread")
def unread() -> Response:
    """A stream whose view does not read what was posted."""
    return simulcast.sse("a")


@app.get("/raises-after")
def raises_after() -> Response:
    """A stream whose response never gets out: an ``after_request`` raises."""
    return simulcast.sse("a")


@app.after_request
@hot.known
def spoil(response: Response) -> Response:
    """For ``/raises-after`` alone."""
    if request.path == "/raises-after":
        raise RuntimeError("spoiled on purpose")
    return response
