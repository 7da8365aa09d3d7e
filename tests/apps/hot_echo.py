"""An app that answers with the request as it sees it: once by a view, and by a hot route."""

from __future__ import annotations

import json
from typing import Any

from flask import Flask, Request, Response, request

from app.flask_simulcast import Simulcast, hot

TYPE = ("Content-Type", "application/json")
_SAID = (
    "REQUEST_METHOD",
    "RAW_URI",
    "PATH_INFO",
    "QUERY_STRING",
    "SERVER_PROTOCOL",
    "SERVER_NAME",
    "SCRIPT_NAME",
    "REMOTE_ADDR",
)

app = Flask(__name__)
app.config["SIMULCAST_BROKER_URL"] = "memory://"
simulcast = Simulcast(app)


def seen(environ: dict[str, Any], body: bytes) -> bytes:
    names = (*_SAID, "wsgi.url_scheme", "wsgi.multithread", "wsgi.input_terminated", *sorted(environ))
    facts = {name: environ.get(name) for name in names if name in names[:11] or name.startswith(("HTTP_", "CONTENT_"))}
    return json.dumps([facts, body.decode("latin-1")]).encode()


@app.route("/echo", methods=["GET", "POST"])
def echo() -> Response:
    return Response(seen(request.environ, request.get_data()), headers=[TYPE, ("Hot", "no")])


def hot_echo(request: Request, body: bytes) -> hot.Reply:
    return hot.Reply("200 OK", (TYPE, ("Hot", "yes")), seen(request.environ, body))


simulcast.hot_routes(app).add("echo", echo, hot_echo)
