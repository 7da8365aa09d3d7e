"""An app with the extensions that many apps have. Run by gunicorn; NEIGHBOUR names the one that is tried."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

import sentry_sdk
from flask import Flask, Response, request, session
from flask_compress import Compress
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user
from flask_talisman import Talisman
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from app.flask_simulcast import Grant, Simulcast

NEIGHBOUR = os.environ["NEIGHBOUR"]


class Printed(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            seconds = ((span.end_time or 0) - (span.start_time or 0)) / 1e9
            print("TOLD", span.name.split("/")[-1], span.status.status_code.name, f"{seconds:.2f}", flush=True)
        return SpanExportResult.SUCCESS


class PrintedToo(Transport):
    def capture_envelope(self, envelope: Envelope) -> None:
        for item in envelope.items:
            told = item.payload.json or {}
            print("TOLD", told.get("transaction"), item.type, flush=True)


if NEIGHBOUR == "sentry":
    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", traces_sample_rate=1.0, transport=PrintedToo)
app = Flask(__name__)
app.secret_key = os.urandom(16)
app.config["SIMULCAST_BROKER_URL"] = os.environ["SIMULCAST_BROKER_URL"]
app.config["COMPRESS_STREAMS"] = NEIGHBOUR != "compress rows only"
if NEIGHBOUR == "opentelemetry":
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Printed()))
    FlaskInstrumentor().instrument_app(app, tracer_provider=provider)
if NEIGHBOUR.startswith("compress"):
    Compress(app)
if NEIGHBOUR == "talisman":
    without_redirect = Talisman(app)(force_https=False)
    app.add_url_rule(
        "/healthz", "healthz", without_redirect(lambda: "")
    )  # which the test asks whether the app is there
simulcast = Simulcast(app)
login = LoginManager(app)


class User(UserMixin):
    def __init__(self, id: str) -> None:
        self.id = id


login.user_loader(User)


@app.post("/login")
def log_in() -> tuple[str, int]:
    login_user(User("ann"))
    session["logged_in_at"] = time.time()
    return "", 204


@app.post("/logout")
def log_out() -> tuple[str, int]:
    simulcast.revoke(user=current_user.get_id())
    logout_user()
    return "", 204


@app.get("/mine")
@login_required
def mine() -> Response:
    grant = Grant(user=current_user.get_id(), subscribe=["orders"], issued_at=session["logged_in_at"])
    return simulcast.sse("orders", grant=grant)


@app.get("/sse")
def sse() -> Response:
    return simulcast.sse("orders")


@app.get("/lines")
def lines() -> Response:
    return simulcast.ndjson("orders")


@app.get("/rows")
def rows() -> Response:
    def slow() -> Iterator[dict[str, object]]:
        for number in range(4000):
            if number == 2000:
                time.sleep(1)
            yield {"id": number, "text": "x" * 20}

    return simulcast.json_rows("rows", slow())


@app.get("/written")
def written() -> Response:
    with simulcast.writer() as stream:
        stream.write_event(1)
        time.sleep(1)
        stream.write_done()
    return stream.response


@app.get("/broken")
def broken() -> Response:
    raise RuntimeError("a bug of the app")


@app.post("/orders")
def create() -> tuple[str, int]:
    simulcast.publish("orders", request.get_json())
    return "", 201
