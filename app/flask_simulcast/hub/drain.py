"""Drain: the goodbye of a worker to its listeners; and what the server's hooks call at the end of a process."""

from __future__ import annotations

import os
from weakref import WeakSet

import gevent

from .. import signals
from ..draining import drain
from ..settings import Settings
from .announcer import Announcer
from .listeners import Listeners
from .place_reporter import PlaceReporter
from .runner import Runner

_drains: WeakSet[Drain] = WeakSet()
# The process that drains. It accepts connections for up to another second, and may make its first hub only then.
_draining_pid = 0


class Drain:
    """The end of one hub.

    Args:
        listeners: The listeners of this worker.
        runner: Its runs.
        place_reporter: Stops reporting places at the end.
        announcer: Sends ``draining``.
        settings: Seconds that listeners have to take their last message.

    Attributes:
        has_begun: Whether it refuses new listeners, because the worker stops.
    """

    def __init__(
        self,
        listeners: Listeners,
        runner: Runner,
        place_reporter: PlaceReporter,
        announcer: Announcer,
        settings: Settings,
    ) -> None:
        self.listeners = listeners
        self.runner = runner
        self._place_reporter = place_reporter
        self._announcer = announcer
        self._seconds = settings.drain_seconds
        self.pid = os.getpid()
        self.has_begun = _draining_pid == self.pid
        _drains.add(self)

    def run(self) -> None:
        """Close every listener with a last message, and cut those that do not take it in time. Switches."""
        if self.has_begun:
            return
        self.has_begun = True
        self._announcer.send(signals.draining)
        drain(self.listeners.all, self._seconds)
        self._place_reporter.stop()

    def forget(self) -> None:
        """Leave it out at the end of the process: the hub was closed."""
        _drains.discard(self)


def drain_process() -> None:
    """Drain every hub of this process, for the server's hooks. A hub that is made later accepts no listener. Switches."""
    global _draining_pid  # noqa: PLW0603 - it is the process that ends
    _draining_pid = os.getpid()
    for each in drains_of_this_process():
        each.run()


def stop_runs(seconds: float = 0) -> None:
    """Let the runs of this process go on for some seconds, and end those that have not ended then. Switches."""
    gevent.joinall([gevent.spawn(each.runner.stop, seconds) for each in drains_of_this_process()])


def drains_of_this_process() -> list[Drain]:
    """Return those of all open hubs of this process."""
    return [each for each in _drains if each.pid == os.getpid()]
