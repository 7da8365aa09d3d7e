"""Tasks of a worker that is killed: told within 15 s, without a process or a file that stays behind."""

from __future__ import annotations

import os
import signal
import time

import psutil

from tests.tools.clients import SSEClient
from tests.tools.fleet import call
from tests.tools.serving import BEARER, wait_until
from tests.tools.tiers import Store, on

TASK = {"kind": "checksum", "options": {"bytes": 8 << 30}}
SWEEP_SECONDS = "app.features.tasks.sweeper.PERIOD_SECONDS"


@on("sqlite", "redis")
def test_tasks_of_a_killed_worker_fail_and_its_children_end(store: Store) -> None:
    with store.serve(constants={SWEEP_SECONDS: 1}) as server:
        id = call(server, "POST", "/process", TASK, status=202)["task_id"]
        path = f"/api/v1/process/{id}/progress"
        with SSEClient(server.port, path, headers=BEARER, timeout=30) as client:
            wait_until(lambda: client.until("progress").json["progress"] > 0, 20, "the child to work")
        workers = [psutil.Process(pid) for pid in server.workers]
        (worker,) = (worker for worker in workers if worker.children())
        children = worker.children()
        began = time.monotonic()
        os.kill(worker.pid, signal.SIGKILL)
        gone, alive = psutil.wait_procs(children, 5)
        assert (len(gone), alive) == (len(children), [])
        with SSEClient(server.port, path, headers=BEARER, timeout=30) as client:
            *_, last, closed = client.rest()
        assert (last.type, last.json["code"], closed.json["reason"]) == ("failed", "worker_lost", "finished")
        assert time.monotonic() - began < 15
        folder = server.folder / "instance" / "tasks"
        wait_until(lambda: not list(folder.iterdir()), 5, "the files to be removed")
