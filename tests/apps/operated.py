"""The service, with routes that any test may use without a token, and things that go wrong on demand."""

from __future__ import annotations

from gevent import monkey

if not monkey.is_module_patched("socket"):
    monkey.patch_all()

from typing import NoReturn

from flask import Flask, Response, request

from app import create_app
from app.extensions import simulcast
from app.flask_simulcast import Event
from app.flask_simulcast.signals import event_published

app = create_app()


@app.get("/listen/<channel>")
def listen(channel: str) -> Response:
    """Listen without a grant."""
    return simulcast.sse(channel, grant=simulcast.grant())


@app.post("/publish/<channel>")
def publish(channel: str) -> tuple[str, int]:
    """Publish the body as it is; ``?count=`` times."""
    for _ in range(request.args.get("count", 1, int)):
        simulcast.publish(channel, request.get_data(as_text=True))
    return "", 201


@app.get("/boom")
@app.get("/api/v1/boom")
def boom() -> NoReturn:
    """A view with a bug."""
    raise RuntimeError("on purpose")


@event_published.connect_via(app)
def spoil(app: Flask, event: Event) -> None:
    """A receiver that raises, for one channel."""
    if event.channel == "spoiled":
        raise RuntimeError("on purpose")
