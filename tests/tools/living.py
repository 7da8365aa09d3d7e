"""What is alive in this process, as the garbage collector knows it."""

from __future__ import annotations

import gc
from typing import TypeVar

import gevent

T = TypeVar("T")


def take_as_given() -> None:
    """Leave all that exists now out of every collection, and of what is `living`: code that is loaded is no leak, and a
    collection with it takes 80 ms of the server's time, for each look of a test that waits. To be called by an app for tests."""
    gc.collect()
    gc.freeze()


def living(kind: type[T]) -> list[T]:
    """All objects of this type. `isinstance` would ask a weak proxy for the class of an object that is gone."""
    return [thing for thing in gc.get_objects() if issubclass(type(thing), kind)]


def living_greenlets() -> int:
    """Greenlets that have not ended, after a collection."""
    gc.collect()
    return sum(not greenlet.dead for greenlet in living(gevent.Greenlet))
