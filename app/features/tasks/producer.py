"""The producer of a task: orders the work, publishes how far it is, and stops the child when the run has ended."""

from __future__ import annotations

import time
from typing import Any

from ...flask_simulcast import Run, RunFailedError
from ...work.piece import WorkError
from ...work.pool import Order, Pool
from .folders import Folder

PROGRESS = "progress"
WAITING = "Waiting for a free processor."
# A cancel takes effect within a second: half of it until this worker knows, this, and one chunk of the child.
_LOOK_SECONDS = 0.2


def produce(run: Run, pool: Pool, new: Folder) -> dict[str, Any]:
    """Do a task in a child process. Switches.

    Args:
        new: Its folder, which gets the run's id.

    Raises:
        RunEndedError: It was cancelled, or has ended otherwise.
        RunFailedError: The child can't do it.
    """
    folder, is_complete = new.become(run.id), False
    task = run.meta["task"]
    order = pool.order(run.id, str(folder.path), task["kind"], task["options"])
    try:
        result = _followed(run, order)
        is_complete = True
    except WorkError as error:
        raise RunFailedError(error.message, error.code) from None
    finally:
        if is_complete and folder.output.exists():
            folder.input.unlink(missing_ok=True)
        else:
            folder.remove()
    return {"task_id": run.id, "result": result}


def _followed(run: Run, order: Order) -> dict[str, Any]:
    """Publish the progress of an order until it is done; return its result."""
    _publish(run, 0, WAITING)
    percent = 0
    for update in order.updates(_LOOK_SECONDS):
        run.check()
        if update is not None and update.percent > percent:
            percent = update.percent
            _publish(run, percent, update.message)
    result = order.result()
    if percent < 100:
        _publish(run, 100, "Done.")
    return result


def _publish(run: Run, percent: int, message: str) -> None:
    data = {"task_id": run.id, "progress": percent, "message": message, "timestamp": int(time.time())}
    run.publish(data, type=PROGRESS)
