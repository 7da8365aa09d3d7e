"""Gateway: a hub that lives in the loop thread, as the threads of requests see it.

A hub and all that it holds belong to one loop. In a patched process that is the loop of the requests, and they call the hub
itself. In any other process the hub is made in the thread of `loop_thread`, and a gateway carries each call there.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from functools import partial
from inspect import ismethod
from typing import Any, cast

from ..brokers.base import Broker
from ..loop import is_patched
from ..loop_thread import in_loop
from .control import Control
from .hub import Hub, drain_process
from .replay import Replay

_PARTS = (Broker, Control, Replay)
# These need no loop: any thread may call them.
_ANYWHERE = frozenset({"breathe", "reclaim"})


class Gateway:
    """The face of an object in the loop thread: its methods and properties run there, its values are read at once.

    Args:
        target: The hub, or a part of it.
    """

    def __init__(self, target: object) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        target = self._target
        if isinstance(getattr(type(target), name, None), property):
            return in_loop(getattr, target, name)
        value = getattr(target, name)
        if ismethod(value):
            face: object = value if name in _ANYWHERE else partial(in_loop, value)
        elif isinstance(value, _PARTS):
            face = Gateway(value)
        else:
            return value
        self.__dict__[name] = face  # found without this method from now on
        return face


def make_hub(make: Callable[[], Hub]) -> Hub:
    """Make a hub where its loop is, and return it, or its gateway. May switch."""
    if is_patched():
        return make()
    hub = in_loop(make)
    atexit.unregister(_drain)
    atexit.register(_drain)  # after the loop thread's own, so that it runs before
    return cast(Hub, Gateway(hub))


def _drain() -> None:
    """Drain at the end of the process: the server's own threads still write, but no hook of the server has told the hub."""
    in_loop(drain_process)
