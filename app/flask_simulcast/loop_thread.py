"""The loop of a process that gevent has not patched: one native thread, made at the first call.

Threads of requests call into it and wait. In a patched process each call is direct, and there is no thread.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar

import gevent
import gevent.event
from gevent import get_hub

from .errors import DrainingError
from .loop import has_loop, has_loop_from_now_on

T = TypeVar("T")

_NAME = "simulcast"
# At the end of the process: for streams to end, which a broker that does not answer can delay, and for the loop itself, which
# takes a few milliseconds. A callback that holds the loop must not keep the process.
_LAST_CALLS_SECONDS = 10.0
_END_SECONDS = 0.5


class LoopThread:
    """A daemon thread with a gevent loop of its own."""

    def __init__(self) -> None:
        self._end: Any = None
        self._loop: Any = None
        is_ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(is_ready,), name=_NAME, daemon=True)
        self._thread.start()
        is_ready.wait()

    def call(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Call a function in a greenlet of the loop, in the caller's context, and wait for what it returns or raises.

        Raises:
            DrainingError: The process ends.
        """
        return self._begin(function, arguments, options).result()

    def _begin(
        self, function: Callable[..., T], arguments: tuple[Any, ...], options: dict[str, Any] | None = None
    ) -> Future[T]:
        loop = self._loop  # `end` may take it away in another thread
        if loop is None:
            raise DrainingError("This process is about to stop. Reconnect, and another one answers.")
        done: Future[T] = Future()
        loop.run_callback_threadsafe(
            gevent.spawn, copy_context().run, _settle, done, function, arguments, options or {}
        )
        return done

    def end(self) -> None:
        """Call what `before_end` has, then end the loop, and wait for that. Threads of the server still run, and write what
        streams have to say. A thread with greenlets in it must not meet the end of the interpreter."""
        with suppress(TimeoutError):
            self._begin(_call_all, (_before_end,)).result(_LAST_CALLS_SECONDS)
        loop, self._loop = self._loop, None
        loop.run_callback_threadsafe(self._end.set)
        self._thread.join(_END_SECONDS)

    def _run(self, is_ready: threading.Event) -> None:
        has_loop_from_now_on()
        self._loop = get_hub().loop
        self._end = gevent.event.Event()
        keep = self._loop.async_()  # a loop that waits for nothing at all would end
        keep.start(_nothing)
        is_ready.set()
        self._end.wait()
        keep.close()


def in_loop(function: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Call a function where a loop is: here if this thread has one, else in the process's own loop thread. May switch."""
    return function(*arguments, **options) if has_loop() else _loop_thread().call(function, *arguments, **options)


def before_end(function: Callable[[], object]) -> None:
    """Call a function in the loop when the process ends, beside the others, if it has a loop thread."""
    _before_end.append(function)


def _call_all(functions: list[Callable[[], object]]) -> None:
    gevent.joinall([gevent.spawn(function) for function in functions])


def _loop_thread() -> LoopThread:
    global _thread  # noqa: PLW0603 - one for the process
    if _thread is None:
        with _mutex:
            if _thread is None:
                _thread = LoopThread()
    return _thread


def _end() -> None:
    if _thread is not None:
        _thread.end()


def _settle(
    done: Future[Any], function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    try:
        done.set_result(function(*arguments, **options))
    except BaseException as error:  # the caller's; the loop must not end with it
        done.set_exception(error)
    finally:
        del done  # else the error would hold itself, through this frame


def _nothing() -> None:
    """Wake the loop."""


def _forget() -> None:
    """Forget the parent's thread, which a forked child does not have, and must not wait for when it exits."""
    global _thread, _mutex
    _thread, _mutex = None, threading.Lock()


_thread: LoopThread | None = None
_before_end: list[Callable[[], object]] = []
_mutex = threading.Lock()
os.register_at_fork(after_in_child=_forget)
# Now, not when the thread is made: what an app registers later is called earlier, and may still use its hub.
atexit.register(_end)
