"""The ways in which we step off the event loop, and the check that there is one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from gevent import get_hub, monkey
from gevent.threadpool import ThreadPool

T = TypeVar("T")

# A thread with nothing to do ends after this time: that of an app that was dropped, too. Another one takes 0.1 ms to start.
_IDLE_SECONDS = 10


def let_others_in() -> None:
    """Give every other greenlet and every ready socket its turn. Switches.

    Not ``gevent.sleep(0)``: that runs up to 50 callbacks before it looks at sockets again, and a
    ready one waited 50 ms instead of 2 (measured, gevent 26.9).
    """
    hub = get_hub()
    hub.wait(hub.loop.timer(0))


def is_patched() -> bool:
    """Whether blocking calls of this process let other greenlets run."""
    return bool(monkey.is_module_patched("socket"))


class Breather:
    """Lets others in when one greenlet has had the loop for a while.

    A publisher whose next request is there already never waits for anything, and would keep the loop.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = time.monotonic()

    def breathe(self) -> None:
        """Switches, at most once in ``seconds``."""
        if time.monotonic() - self._last >= self._seconds:
            let_others_in()
            self._last = time.monotonic()


class Offload:
    """Runs blocking calls, one at a time, where they do not hold up the loop.

    In a patched process that is one native thread, made at the first call; elsewhere there is no loop
    to hold up, and the caller runs it itself.
    """

    def __init__(self) -> None:
        self._pool: ThreadPool | None = None
        self._mutex = threading.Lock()  # between the threads of a process without a loop

    def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Call and return what it returns, or raise what it raises. Switches in a patched process."""
        if not is_patched():
            with self._mutex:
                return function(*arguments)
        if self._pool is None:
            self._pool = ThreadPool(1, idle_task_timeout=_IDLE_SECONDS)
        return self._pool.apply(function, arguments)

    def close(self) -> None:
        """End the thread, once what it is doing is done. May switch."""
        if self._pool is not None:
            self._pool.join()
            self._pool.kill()
            self._pool = None
