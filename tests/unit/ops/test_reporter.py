"""The thread that stores a worker's figures."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from flask import Flask

from app.flask_simulcast.metrics import Metrics
from app.flask_simulcast.ops.reporter import Reporter


def test_two_first_requests_at_once_start_one_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reporter = Reporter(Flask("app"), Metrics(), tmp_path, setting="")
    runs: list[Reporter] = []
    both, pid = threading.Barrier(2), os.getpid()

    def getpid() -> int:
        both.wait(10)
        return pid

    def run(started: Reporter) -> None:
        runs.append(started)

    with monkeypatch.context() as patched:
        patched.setattr(Reporter, "_run", run)
        patched.setattr(os, "getpid", getpid)
        requests = [threading.Thread(target=reporter.start) for _ in range(2)]
        for request in requests:
            request.start()
        for request in requests:
            request.join()
    for thread in threading.enumerate():
        if thread.name == "simulcast-figures":
            thread.join(10)
    assert runs == [reporter]
