"""``/healthz``, ``/readyz`` and ``/metrics``. None of them needs a token: they show numbers, and no names."""

from __future__ import annotations

import time

from flask import Response, jsonify, request

from ...extensions import simulcast
from ...figures import reporter
from ...flask_simulcast.ops import exposition
from ...web.api import Api
from ...web.errors import ApiError
from . import schemas
from .health import health

api = Api("ops", __name__)


@api.get("/healthz", needs=None, answers={200: schemas.Health})
def healthz() -> Response:
    """Answer that the process is alive, with the figures of all workers of the machine."""
    return jsonify(health(reporter().machine_or_worker(), time.time()))


@api.get("/readyz", needs=None, answers={200: schemas.Ready}, errors=(503,))
def readyz() -> schemas.Ready:
    """Answer 200 if the log can be read (else 503 ``broker_unavailable``) and this worker is not about to stop (else 503)."""
    hub = simulcast.hub
    if hub.is_draining:
        raise ApiError(503, "draining", "This worker is about to stop. Ask again: another one answers.")
    return schemas.Ready("ok", str(hub.readable_head()))


@api.get(
    "/metrics",
    needs=None,
    answers={200: {"text/plain": str, "application/openmetrics-text": str}},
    errors=(503,),
)
def metrics() -> Response:
    """Return the metrics of all workers of the machine, for Prometheus. 503 if only this worker's can be read: its counters
    alone would look as if all counters had fallen."""
    try:
        machine = reporter().machine()
    except OSError:
        raise ApiError(
            503,
            "metrics_unavailable",
            "The figures of the other workers can't be read. The operator looks at SIMULCAST_METRICS_FOLDER.",
            {"Retry-After": "1"},
        ) from None
    text, content_type = exposition(machine, request.headers.get("Accept", ""))
    return Response(text, content_type=content_type)
