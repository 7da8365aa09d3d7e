"""Tasks: each is a run whose work is done by a child process."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from flask import Flask, current_app
from msgspec import UNSET

from ...extensions import simulcast
from ...flask_simulcast import RunState, client_input
from ...flask_simulcast.errors import NoSuchRunError
from ...host import HOST
from ...web.errors import ApiError
from ...work.pool import Pool
from . import schemas
from .folders import Folder, Folders
from .producer import PROGRESS, WAITING, produce
from .sweeper import Sweeper

_KEY = "simulcast_tasks"
_MAX_SECONDS = 1800
_PAGE = 100


@dataclass(frozen=True)
class _Here:
    """What one app has for its tasks in this process."""

    pool: Pool
    folders: Folders
    sweeper: Sweeper  # signals hold it weakly


def init_app(app: Flask) -> None:
    """Read the settings."""
    folders = Folders(Path(app.config["SIMULCAST_TASKS_FOLDER"]).absolute(), app.config["SIMULCAST_MAX_TASK_BYTES"])
    app.extensions[_KEY] = _Here(Pool(), folders, Sweeper(app, folders))


def folders() -> Folders:
    """Return the folders of tasks."""
    return _here().folders


def start(task: schemas.Task, folder: Folder, key: str | None) -> schemas.State:
    """Start a task, or join the one with the same key. It then owns the folder, or the folder is removed. May switch.

    Args:
        folder: A new one, with the file if there is one.
        key: The client's idempotency key.

    Raises:
        ApiError: 409 ``idempotency_conflict``: the key belongs to another task.
        TooManyRunsError, DrainingError, InvalidEventError, BrokerUnavailableError: As `Simulcast.start_run`.
    """
    asked = msgspec.to_builtins(task)
    is_ours = False
    try:
        with client_input():  # the key
            run = simulcast.start_run(
                partial(produce, pool=_here().pool, new=folder),
                user=simulcast.grant().user,
                meta={"task": asked, "host": HOST, "folder": folder.name},
                idempotency_key=key,
                max_seconds=_MAX_SECONDS,
            )
        meta = _meta(run)
        is_ours = meta.get("folder") == folder.name
        if meta.get("task") != asked:
            raise ApiError(409, "idempotency_conflict", "This key belongs to another task. Use a new one.")
    finally:
        if not is_ours:
            folder.remove()
    return _state(run)


def find(id: str) -> RunState:
    """Return the run of a task that the client of the current request owns. May switch.

    Raises:
        NoSuchRunError: There is none, or it is another user's.
    """
    try:
        run = simulcast.run_state(id)
    except NoSuchRunError:
        run = None
    user = simulcast.grant().user
    if run is None or "task" not in _meta(run) or user not in ("", run.user):
        raise ApiError(404, "no_such_task", f"There is no task {id[:64]!a}. Perhaps it ended long ago; start it again.")
    return run


def state(id: str) -> schemas.State:
    """Return the state of a task. May switch. Raises as `find`."""
    return _state(find(id))


def every(after: str, limit: int) -> list[schemas.TaskSummary]:
    """Return a page of the tasks that the client of the current request owns. May switch."""
    found: list[schemas.TaskSummary] = []
    for run in _runs(simulcast.grant().user or None, after):
        if len(found) == limit:
            break
        if "task" in _meta(run):
            found.append(schemas.TaskSummary(**_summary(run)))
    return found


def newest(count: int) -> list[RunState]:
    """Return the newest tasks that the client of the current request owns, those that run first. May switch."""
    mine = (run for run in _runs(simulcast.grant().user or None, "") if "task" in _meta(run))
    return heapq.nlargest(count, mine, key=lambda run: (not run.ending, run.started_ms))


def states(runs: list[RunState]) -> list[dict[str, Any]]:
    """Return the states of now of these tasks, without those that were forgotten meanwhile. May switch."""
    found = []
    for run in runs:
        with suppress(NoSuchRunError):
            found.append(msgspec.to_builtins(_state(simulcast.run_state(run.id))))
    return found


def cancel(id: str) -> schemas.State:
    """Cancel a task; remove the file of one that has ended. May switch. Raises as `find`."""
    run = find(id)
    if not run.ending:
        simulcast.cancel_run(run.id)
    _here().folders.of(run.id).remove()
    return state(id)


def result(id: str) -> Path | dict[str, Any]:
    """Return the file that a task has made, or its result if it makes none. May switch.

    Raises:
        ApiError: 404: there is no such task, or its file is not here. 409 ``no_result``: it has not ended, or failed.
    """
    run = find(id)
    shown = _state(run)
    if shown.result is UNSET:
        raise ApiError(409, "no_result", f"The task is {shown.status}, so it has no result. Wait, or start it again.")
    if shown.kind != "compress":
        return shown.result
    file = _here().folders.of(run.id).output
    if not file.exists():
        where = "It was removed" if _meta(run)["host"] == HOST else "It is on another machine"
        raise ApiError(404, "result_gone", f"The compressed file is not here. {where}. Start the task again.")
    return file


def _runs(user: str | None, after: str) -> Iterator[RunState]:
    """Yield the runs of a user; of all users if none is named."""
    while True:
        page = simulcast.runs(user=user, after=after, limit=_PAGE)
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].id


def _state(run: RunState) -> schemas.State:
    events = {event.type: json.loads(event.data) for event in simulcast.history(run.channel, limit=2).events}
    told = events.get(PROGRESS, {})
    summary = _summary(run)
    state = schemas.State(**summary, progress=told.get("progress", 0), message=told.get("message", WAITING))
    if "complete" in events:
        state.status, state.result = "complete", events["complete"]["result"]
    elif "failed" in events:
        state.status, state.error = "failed", schemas.TaskError(**events["failed"])
    return state


def _summary(run: RunState) -> dict[str, Any]:
    task = _meta(run)["task"]
    return {
        "task_id": run.id,
        "kind": task["kind"],
        "options": task["options"],
        "status": run.status,
        "started": run.started_ms,
    }


def _meta(run: RunState) -> dict[str, Any]:
    meta: dict[str, Any] = json.loads(run.meta)
    return meta


def _here() -> _Here:
    here: _Here = current_app.extensions[_KEY]
    return here
