"""Gateway: an object that lives in the loop thread, as the threads of requests see it.

A hub and all that it holds belong to one loop, and so does a WebSocket. In a patched process that is the loop of the requests,
and they call the object itself. In any other process it is made in the thread of `loop_thread`, and a gateway carries each
call there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import ismethod
from typing import Any, TypeVar, cast

from ..brokers.base import Broker
from ..loop import is_patched
from ..loop_thread import before_end, in_loop
from .admission import Admission
from .control import Control
from .drain import drain_process, stop_runs
from .replay import Replay
from .runner import Runner

T = TypeVar("T")

_PARTS = (Admission, Broker, Control, Replay, Runner)
# These need no loop: any thread may call them.
_ANYWHERE = frozenset({"breathe", "reclaim"})


class Gateway:
    """The face of an object in the loop thread: its methods and properties run there, its values are read at once.

    Args:
        target: A hub, a part of it, or a WebSocket.
    """

    _target: Any

    def __init__(self, target: object) -> None:
        self.__dict__["_target"] = target

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._target, name, value)

    def __enter__(self) -> Any:
        return in_loop(self._target.__enter__)

    def __exit__(self, *error: object) -> None:
        in_loop(self._target.__exit__, *error)

    def __getattr__(self, name: str) -> Any:
        target = self._target
        if isinstance(getattr(type(target), name, None), property):
            return in_loop(getattr, target, name)
        value = getattr(target, name)
        if ismethod(value) and value.__self__ is target:
            face: object = value if name in _ANYWHERE else partial(in_loop, value)
        elif isinstance(value, _PARTS):
            face = Gateway(value)
        else:
            return value
        self.__dict__[name] = face  # found without this method from now on
        return face


def made_in_loop(make: Callable[[], T]) -> T:
    """Make an object where its loop is, and return it, or its gateway. May switch."""
    return make() if is_patched() else cast(T, Gateway(in_loop(make)))


before_end(drain_process)
before_end(stop_runs)
