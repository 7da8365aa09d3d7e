"""Give each test a log of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from .. import app_state
from ..brokers.base import Broker, Clock
from ..brokers.memory.broker import MemoryBroker
from ..settings import Settings


@contextmanager
def memory_log() -> Iterator[None]:
    """Give every app of this process a new log in memory, whatever ``SIMULCAST_BROKER_URL`` says, and drop it at the end.

    It makes no difference when an app is set up: once for all tests, or in a fixture. A `Publisher` opens the log of its URL
    in any case.
    """
    _close_logs()
    with patch.object(app_state, "connect", _in_memory):
        try:
            yield
        finally:
            _close_logs()


def _in_memory(settings: Settings, **_: object) -> Broker:
    return MemoryBroker(settings, Clock())


def _close_logs() -> None:
    for state in app_state.states_of_this_process():
        state.close()
