"""The blueprint of any app: ``/healthz``, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, current_app, jsonify, request
from flask.sansio.blueprints import BlueprintSetupState

from ..app_state import KEY, current_state
from ..errors import BrokerError
from .exposition import exposition
from .readers import MayRead, has_token, is_of_this_machine
from .reporter import Reporter

_REPORTER = "simulcast.reporter"
_REFUSED = "The metrics are for readers on this machine. Give simulcast.ops() a token or may_read=, and others can read them.\n"


def make_blueprint(*, token: str, may_read: MayRead | None, folder: str | Path | None) -> Blueprint:
    """Make the blueprint; `Simulcast.ops` has the arguments."""
    if token and may_read is not None:
        raise ValueError("simulcast.ops() has both a token and may_read=. Give it one of them.")
    blueprint = Blueprint("simulcast_ops", __name__)
    blueprint.record_once(lambda setup: _make_reporter(setup, folder))

    def is_allowed() -> bool:
        if may_read is not None:
            return may_read()
        return has_token(request.environ, token) if token else is_of_this_machine(request.environ)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        """Answer that the worker is alive."""
        return jsonify(status="ok")

    @blueprint.get("/readyz")
    def readyz() -> Response:
        """Answer 200 if the log can be read, and 503 if it can't or if this worker is about to stop."""
        hub = current_state().hub(current_app._get_current_object())  # type: ignore[attr-defined]
        if hub.is_draining:
            return _unavailable("draining")
        try:
            return jsonify(status="ok", position=str(hub.readable_head()))
        except BrokerError as error:
            return _unavailable(error.code)

    @blueprint.get("/metrics")
    def metrics() -> Response:
        """Return the metrics of all workers of the machine. 503 if only this worker's can be read: its counters alone would
        look as if all counters had fallen."""
        if not is_allowed():
            if token:
                return Response("", 401, {"WWW-Authenticate": "Bearer"})
            return Response(_REFUSED, 403, mimetype="text/plain")
        reporter: Reporter = current_app.extensions[_REPORTER]
        try:
            machine = reporter.machine()
        except OSError:
            return _unavailable("metrics_unavailable")
        text, content_type = exposition(machine, request.headers.get("Accept", ""))
        return Response(text, content_type=content_type)

    return blueprint


def _make_reporter(setup: BlueprintSetupState, folder: str | Path | None) -> None:
    app = setup.app
    if KEY not in app.extensions:
        raise RuntimeError(
            "This app has no Simulcast yet. Call simulcast.init_app(app) before app.register_blueprint()."
        )
    path = Path(app.instance_path, folder or "metrics")
    metrics = app.extensions[KEY].metrics
    app.extensions[_REPORTER] = Reporter(app, metrics, path, setting="simulcast.ops(folder=…)")  # type: ignore[arg-type]


def _unavailable(status: str) -> Response:
    response = jsonify(status=status)
    response.status_code = 503
    response.headers["Retry-After"] = "1"
    return response
