"""The log of the current app, opened for one command."""

from __future__ import annotations

import os

from ..app_state import current_state
from ..brokers.base import Broker
from ..publisher import Publisher
from ..revoking import Revoking
from ..settings import INSTEAD_OF_MEMORY
from ..url import sqlite_path
from .group import RefusedError


class Log(Publisher, Revoking):
    """What a command does to the log. It has no listeners, and takes no place in the register."""

    @property
    def broker(self) -> Broker:
        """The broker, for reading."""
        return self.hub.broker


def open_log(*, create: bool = False) -> Log:
    """Return the app's log. The caller closes it.

    Args:
        create: Whether a missing SQLite log may be made, if the app allows that.

    Raises:
        RefusedError: Another process can't reach this log, or it does not exist.
    """
    state = current_state()
    if state.settings.has_memory_log:
        raise RefusedError(
            "SIMULCAST_BROKER_URL=memory:// is a log in the memory of the server, which no other process can reach. "
            + INSTEAD_OF_MEMORY
        )
    may_create = create and state.create
    path = sqlite_path(state.settings.broker_url)
    if path is not None and not may_create and not os.path.exists(path):
        raise RefusedError(
            f"There is no log at {path}. Run this where the server runs, with its SIMULCAST_BROKER_URL; a new server makes "
            "its log at the first stream or publish."
        )
    return Log(state.settings, create=may_create)
