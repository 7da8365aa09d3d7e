"""Open the log of the current app, for one command."""

from __future__ import annotations

import os

from ..app_state import current_state
from ..publisher import Publisher
from ..settings import INSTEAD_OF_MEMORY
from ..url import sqlite_path
from .group import RefusedError


def open_log(*, create: bool = False) -> Publisher:
    """Return a publisher on the app's log. The caller closes it.

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
    return Publisher(state.settings, create=may_create)
