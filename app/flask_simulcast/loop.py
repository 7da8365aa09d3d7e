"""How code yields the event loop or leaves it for a thread, and how it finds out whether its thread has one."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar, cast

import gevent
from gevent import get_hub, monkey
from gevent.hub import Waiter
from gevent.threadpool import ThreadPool

T = TypeVar("T")

# An idle thread ends after this time, also the thread of an app that was dropped. A new one starts in 0.1 ms.
_IDLE_SECONDS = 10

_is_patched = False


class _Here(threading.local):
    has_loop = False


_here = _Here()


def let_others_in() -> None:
    """Give every other greenlet and every ready socket a turn. Switches.

    Not ``gevent.sleep(0)``: that runs up to 50 callbacks before it looks at sockets again, and a
    ready socket waited 50 ms instead of 2 (measured, gevent 26.9).
    """
    hub = get_hub()
    hub.wait(hub.loop.timer(0))


def is_patched() -> bool:
    """Tell whether blocking calls of this process let other greenlets run. A process that is patched stays so."""
    global _is_patched  # noqa: PLW0603 - it is the process that is patched; gevent's own answer takes three times as long
    _is_patched = _is_patched or bool(monkey.is_module_patched("socket"))
    return _is_patched


def has_loop() -> bool:
    """Tell whether the caller's thread has a loop that must not be blocked: in a patched process every thread that serves
    requests, in any other process only the thread of `loop_thread`."""
    return _is_patched or _here.has_loop or is_patched()


def has_loop_from_now_on() -> None:
    """Note that the caller's thread runs a loop, in a process that is not patched."""
    _here.has_loop = True


class Breather:
    """Lets other greenlets run when one has held the loop for a while.

    A publisher whose next request is already there never waits, and would keep the loop.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = time.monotonic()

    def breathe(self) -> None:
        """Let others in, at most once in ``seconds``. May switch."""
        if time.monotonic() - self._last >= self._seconds:
            let_others_in()
            self._last = time.monotonic()


class TimeSlice:
    """The time that greenlets of one kind have, all of them together, until everything else gets a turn.

    A turn of the loop for each of them is not enough: a hundred come back in the same turn, and take it one after the other.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._line: deque[Waiter[None]] = deque()

    def wait(self) -> None:
        """Wait for the caller's place in the line, and until everything else had a turn. Switches."""
        if not self._line:
            self._go_on_next_turn()
        waiter: Waiter[None] = Waiter()
        self._line.append(waiter)
        waiter.get()

    def _go_on_next_turn(self) -> None:
        get_hub().loop.timer(0).start(self._go_on)

    def _go_on(self) -> None:
        """Let those in the line work, one after the other: each until it waits for something."""
        end = time.monotonic() + self._seconds
        line, self._line = self._line, deque()
        while line and time.monotonic() < end:
            line.popleft().switch(None)
        if line and not self._line:
            self._go_on_next_turn()
        self._line.extendleft(reversed(line))


class Threads:
    """Native threads for the calls of a library that waits by itself, so that they don't block the loop.

    In a patched process such a library waits by gevent's sockets, and a thread without a loop may block: there the call runs
    at once. The loop thread of an unpatched process leaves it to native threads.

    Args:
        most: Number of threads.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._pool: ThreadPool | None = None

    @property
    def are_needed(self) -> bool:
        """Whether a call of the library would hold the caller's loop."""
        return _here.has_loop

    def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Call the function in a thread; return what it returns, or raise what it raises. Switches."""
        if self._pool is None:
            self._pool = ThreadPool(self._most, idle_task_timeout=_IDLE_SECONDS)
        answer: Any
        error: Exception | None
        answer, error = self._pool.apply(_outcome, (function, *arguments))
        if error is not None:
            raise error
        return cast(T, answer)

    def close(self) -> None:
        """End the threads that are idle. The others end after their call."""
        pool, self._pool = self._pool, None
        if pool is not None:
            gevent.spawn(pool.kill)


def _outcome(function: Callable[..., T], *arguments: object) -> tuple[T | None, Exception | None]:
    """Return what a function returns or raises. The pool would print what it raises."""
    try:
        return function(*arguments), None
    except Exception as error:
        return None, error


class Offload:
    """Runs blocking calls, one at a time, without blocking the loop.

    Where there is a loop they run in one native thread, made at the first call. Elsewhere the caller's own thread runs them.
    """

    def __init__(self) -> None:
        self._pool: ThreadPool | None = None
        self._mutex = threading.Lock()  # between threads without a loop

    def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Call the function; return what it returns, or raise what it raises. Switches if there is a loop."""
        if not has_loop():
            with self._mutex:
                return function(*arguments)
        if self._pool is None:
            self._pool = ThreadPool(1, idle_task_timeout=_IDLE_SECONDS)
        return self._pool.apply(function, arguments)

    def close(self) -> None:
        """End the thread after its current call. May switch."""
        if self._pool is not None:
            self._pool.join()
            self._pool.kill()
            self._pool = None
