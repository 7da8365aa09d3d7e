"""``/process``: tasks that take the processor for seconds. And the page that shows them."""

from __future__ import annotations

from typing import Annotated, Any

from flask import Blueprint, Response, jsonify, request, send_file
from msgspec import Meta

from ...extensions import simulcast
from ...web.api import Api
from ...web.body import JSON
from ...web.pages import page as as_page
from ...web.route import RESUME_HEADER, STREAMS
from . import access, schemas, service, upload
from .upload import Upload

api = Api("tasks", __name__, {"id": schemas.Id})
api.blueprint.teardown_request(upload.drop)
page = Blueprint("tasks_page", __name__)

# A stream has a channel when its user has no tasks, too. Each listener gets what is on this one anyway.
_ALWAYS = "all"
_GZIP = "application/gzip"
_FILE = Annotated[str, Meta(extra_json_schema={"format": "binary"})]


@page.get("/tasks")
def index() -> Response:
    """Return the page that starts tasks and shows their progress."""
    return as_page("tasks.html")


@api.post(
    "",
    needs=access.START,
    headers={"Idempotency-Key": "A second start with the same key joins the task of the first."},
    body=upload.BODY,
    answers={202: schemas.State},
    errors=(409, 429, 503),
)
def start(body: Upload) -> schemas.State:
    """Start a task, with a file or without one."""
    return service.start(body.task, body.take(), request.headers.get("Idempotency-Key") or None)


@api.get("", needs=access.OWN, query=schemas.ListQuery, answers={200: schemas.Tasks}, errors=(503,))
def every(query: schemas.ListQuery) -> schemas.Tasks:
    """List one's own tasks, while they are kept: for an hour after their end."""
    return schemas.Tasks(service.every(query.after, query.limit))


@api.get("/stream", needs=access.WATCH, headers=RESUME_HEADER, answers=STREAMS, errors=(429, 503))
def stream() -> Response:
    """Stream one's newest tasks: their states as ``tasks``, then the events of each; the id of an event has its channel,
    ``run:<task_id>``. A task that is started later is on the next stream."""
    runs = service.newest(simulcast.hub.settings.max_channels_per_listener - 1)
    return simulcast.stream(
        (_ALWAYS, *(run.channel for run in runs)),
        snapshot=lambda: service.states(runs),
        snapshot_type="tasks",
        grant=simulcast.grant(),
    )


@api.get("/<id>", needs=access.OWN, answers={200: schemas.State}, errors=(503,))
def state(id: str) -> schemas.State:
    """Return how far a task is, or how it ended."""
    return service.state(id)


@api.get("/<id>/progress", needs=access.WATCH, headers=RESUME_HEADER, answers=STREAMS, errors=(429, 503))
def progress(id: str) -> Response:
    """Stream a task: its latest event at once, then ``progress``, and at the end ``complete``, ``failed`` or ``cancelled``."""
    return simulcast.run_stream(service.find(id).id, replay=1, grant=simulcast.grant())


@api.delete("/<id>", needs=access.OWN, answers={200: schemas.State}, errors=(503,))
def cancel(id: str) -> schemas.State:
    """Cancel a task; remove the file of one that has ended."""
    return service.cancel(id)


@api.get("/<id>/result", needs=access.OWN, answers={200: {JSON: dict[str, Any], _GZIP: _FILE}}, errors=(409, 503))
def result(id: str) -> Response:
    """Return the result of a task, while it is kept: JSON, or the compressed file."""
    found = service.result(id)
    if isinstance(found, dict):
        return jsonify(found)
    response = send_file(found, _GZIP, as_attachment=True, download_name=f"{id}.gz", conditional=False, etag=False)
    response.headers["Cache-Control"] = "no-store"  # Flask's own lets a cache keep it
    return response
