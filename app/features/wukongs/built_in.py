"""The built-in wukongs of this machine. The worker that gets a command carries it out itself."""

from __future__ import annotations

import time
from typing import Any, NoReturn

import gevent
import psutil

from ...host import HOST
from . import machine
from .command_set import CommandError


class BuiltIn:
    """This machine, or one of its workers.

    Args:
        name: Its full name.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._pid = None if name == HOST else machine.pid_of(name)

    def status(self) -> dict[str, Any]:
        """Return the figures, at most half a second old."""
        figures = machine.figures(self._name)
        return self._gone() if figures is None else figures

    def uptime(self) -> dict[str, Any]:
        """Return the uptime of the machine and of the worker; for the machine, of the worker that carries out the command."""
        try:
            since = psutil.Process(self._pid).create_time()
        except psutil.Error:
            self._gone()
        return {"machine_seconds": machine.uptime_seconds(), "process_seconds": round(time.time() - since)}

    def set_interval(self, seconds: float) -> None:
        """Refuse: all listeners share one sampler."""
        raise CommandError(
            "fixed_interval",
            "This machine and its workers are sampled each second, for all listeners. Send this command to an agent.",
        )

    def processes(self, limit: int, by: str) -> list[dict[str, Any]]:
        """Return the processes of the machine, or the worker itself. Read in threads, because it takes a while. Switches."""
        pool = gevent.get_hub().threadpool
        since = pool.apply(machine.process_times)
        gevent.sleep(machine.PROCESSES_SECONDS)
        return list(pool.apply(machine.top_processes, (since, limit, by, self._pid)))

    def _gone(self) -> NoReturn:
        raise CommandError("gone", f"{self._name} has ended. GET /api/v1/wukongs lists the others.")
