"""Apps for the doctor, in one server: below `/main`, `/redis`, `/other`, `/slow` and `/bare`, each with a stream of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, make_response, redirect, request
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response as AnyResponse

from app.flask_simulcast import Connection, GuardedSock, Simulcast

FOLDER = Path(os.environ.get("DOCTORED_FOLDER", ".")).resolve()
HEARTBEAT_SECONDS = 2


def make_app(name: str, *, is_behind_proxy: bool = True, **settings: Any) -> Flask:
    app = Flask(f"{__name__}.{name}", instance_path=str(FOLDER))
    app.config["SIMULCAST_BROKER_URL"] = f"sqlite:///{name}.db"
    app.config["SIMULCAST_HEARTBEAT_SECONDS"] = HEARTBEAT_SECONDS
    app.config.update(settings)
    simulcast = Simulcast(app)
    sock = GuardedSock(simulcast)

    @app.get("/stream")
    def stream() -> Response:
        return simulcast.sse(["orders", "stock"])

    @app.get("/private")
    def private() -> Response:
        if request.headers.get("Authorization") != "Bearer open":
            abort(401)
        return simulcast.sse("orders")

    @sock.route("/echo")
    def echo(ws: Connection) -> None:
        while True:
            ws.send(ws.receive())

    @app.get("/page")
    def page() -> str:
        return "<!doctype html><title>Orders</title>"

    @app.get("/json")
    def json() -> dict[str, int]:
        return {"orders": 7}

    @app.get("/round")
    def round() -> AnyResponse:
        return redirect("round")

    @app.get("/foreign")
    def foreign() -> Response:
        return make_response(("data: 1\n\n", 200, {"Content-Type": "text/event-stream; charset=utf-8"}))

    sock.init_app(app)
    if is_behind_proxy:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)  # type: ignore[method-assign]
    return app


main = make_app("main")
APPS = {
    "/main": main,
    "/other": make_app("other"),
    "/slow": make_app("slow", SIMULCAST_HEARTBEAT_SECONDS=3),
    "/bare": make_app("main", is_behind_proxy=False),
}
if "DOCTORED_REDIS" in os.environ:
    APPS["/redis"] = make_app("redis", SIMULCAST_BROKER_URL=os.environ["DOCTORED_REDIS"])
app = DispatcherMiddleware(Flask("nothing"), APPS)
