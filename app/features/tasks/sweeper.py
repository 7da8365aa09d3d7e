"""Sweeper: removes the folders of tasks that nothing needs: of a killed worker, and of results that are no longer kept."""

from __future__ import annotations

import logging
import threading
import time

from flask import Flask, request_started

from ...extensions import simulcast
from ...flask_simulcast import SimulcastError
from ...flask_simulcast.errors import NoSuchRunError
from .folders import Folders

PERIOD_SECONDS = 60

_log = logging.getLogger(__name__)


class Sweeper:
    """Sweeps every minute, from the first request that this worker answers on.

    Args:
        app: The app.
        folders: What it sweeps.
    """

    def __init__(self, app: Flask, folders: Folders) -> None:
        self._app = app
        self._folders = folders
        request_started.connect(self._begin, app)

    def _begin(self, app: Flask, **_: object) -> None:
        request_started.disconnect(self._begin, app)
        threading.Thread(target=self._run, name="tasks-sweeper", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(PERIOD_SECONDS)
            with self._app.app_context():
                self._sweep()

    def _sweep(self) -> None:
        try:
            for id in self._folders.known():
                if not self._is_needed(id):
                    self._folders.of(id).remove()
        except (SimulcastError, OSError) as error:
            _log.warning("The folders of tasks are not swept this time: %s", error)
        except Exception:
            _log.exception("The folders of tasks are not swept this time.")

    def _is_needed(self, id: str) -> bool:
        """Tell whether a run still works in its folder, or its result is kept."""
        try:
            run = simulcast.run_state(id)
        except NoSuchRunError:
            return False
        return not run.ending or (run.ending == "complete" and self._folders.of(id).output.exists())
