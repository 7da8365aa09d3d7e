"""What is alive in this process, as the garbage collector knows it."""

from __future__ import annotations

import gc
from typing import TypeVar

import gevent

T = TypeVar("T")


def living(kind: type[T]) -> list[T]:
    """All objects of this type. `isinstance` would ask a weak proxy for the class of an object that is gone."""
    return [thing for thing in gc.get_objects() if issubclass(type(thing), kind)]


def living_greenlets() -> int:
    """Greenlets that have not ended, after a collection."""
    gc.collect()
    return sum(not greenlet.dead for greenlet in living(gevent.Greenlet))
