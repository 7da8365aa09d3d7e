"""An app of one's own with a login, some streams, and routes that have nothing to do with them."""

from __future__ import annotations

from gevent import monkey

if not monkey.is_module_patched("socket"):
    monkey.patch_all()

import os

from flask import Flask, Response, abort, request

from app.flask_simulcast import Grant, Simulcast, UnauthorizedError

app = Flask(__name__)
app.config.from_mapping({name: value for name, value in os.environ.items() if name.startswith("SIMULCAST_")})
app.config["SIMULCAST_BROKER_URL"] = "memory://"


@app.before_request
def log_in() -> None:
    """Registered before Simulcast, and knows nothing of preflights."""
    if request.path != "/healthz" and not request.headers.get("Authorization"):
        abort(401)


simulcast = Simulcast(app)


@simulcast.authorizer
def who_asks() -> Grant:
    """Ann may listen; others are refused by the extension, not by the app."""
    if request.headers["Authorization"] != "Bearer ann":
        raise UnauthorizedError("Log in first.")
    return Grant(user="ann", subscribe=("orders",))


@app.get("/orders/stream")
def orders() -> Response:
    """Listen."""
    return simulcast.sse(request.args.get("channel", "orders"))


@app.post("/ask")
@simulcast.cross_origin
def ask() -> Response:
    """A stream that the view writes."""
    with simulcast.writer() as stream:
        stream.write_event(request.get_json())
    return stream.response


@app.route("/account", methods=["GET", "DELETE"])
def account() -> str:
    """Not for pages of other origins."""
    return "account"


@app.route("/own", methods=["GET", "OPTIONS"])
def own() -> str:
    """Answers its preflights itself."""
    return "own"


@app.get("/healthz")
def healthz() -> str:
    """Whether it runs."""
    return "ok"
