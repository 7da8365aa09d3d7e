"""The wukongs of this machine carry commands out by themselves, in whichever worker is asked."""

from __future__ import annotations

import time
from typing import Any, NoReturn

import gevent
import psutil

from . import machine
from .command_set import CommandError


class BuiltIn:
    """This machine, or one of its workers.

    Args:
        name: Its full name.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._pid = None if name == machine.HOST else machine.pid_of(name)

    def status(self) -> dict[str, Any]:
        """At most half a second old."""
        figures = machine.figures(self._name)
        return self._gone() if figures is None else figures

    def uptime(self) -> dict[str, Any]:
        """Of the machine, and of the worker; for the machine, of the worker that was asked."""
        try:
            since = psutil.Process(self._pid).create_time()
        except psutil.Error:
            self._gone()
        return {"machine_seconds": machine.uptime_seconds(), "process_seconds": round(time.time() - since)}

    def set_interval(self, seconds: float) -> None:
        """Refuse: all consoles share one sampler."""
        raise CommandError(
            "fixed_interval", "This machine and its workers are sampled each second, for all who watch. Ask an agent."
        )

    def processes(self, limit: int, by: str) -> list[dict[str, Any]]:
        """Of the machine; of a worker, itself. Read in threads: with a thousand processes it takes a while. Switches."""
        pool = gevent.get_hub().threadpool
        since = pool.apply(machine.process_times)
        gevent.sleep(machine.PROCESSES_SECONDS)
        return list(pool.apply(machine.top_processes, (since, limit, by, self._pid)))

    def _gone(self) -> NoReturn:
        raise CommandError("gone", f"{self._name} has ended. GET /api/v1/wukongs lists who is there.")
