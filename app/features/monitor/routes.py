"""``/dashboard/stream``, ``/dashboard/past``, and the page that draws it."""

from __future__ import annotations

from flask import Blueprint, Response

from ...extensions import simulcast
from ...host import HOST
from ...web.api import Api
from ...web.pages import page as as_page
from ...web.route import RESUME_HEADER, STREAMS
from . import access, samplers, schemas
from .samples import CHANNEL

api = Api("monitor", __name__)
page = Blueprint("monitor_page", __name__)


@page.get("/dashboard")
def index() -> Response:
    """Return the page with the charts."""
    return as_page("dashboard.html")


@api.get("/past", needs=access.READ, answers={200: schemas.Past})
def past() -> schemas.Past:
    """Return the load of this machine in the last five minutes, as one of its workers has seen it."""
    return schemas.Past(HOST, samplers.MetricsPast.here())


@api.get(
    "/stream",
    needs=access.WATCH,
    query=schemas.StreamQuery,
    headers=RESUME_HEADER,
    answers=STREAMS,
    errors=(429, 503),
)
def stream(query: schemas.StreamQuery) -> Response:
    """Stream the load of the machines: ``metrics`` every 2 seconds, one for each machine; docs/monitor.md describes it."""
    return simulcast.stream(CHANNEL, replay=query.history)
