"""All that a worker has open on one log: a connection to read with, three to write with, and their places in line."""

from __future__ import annotations

import os
import secrets

from ...event import Position, next_key
from ...settings import Settings
from ..base import Clock
from .committer import Committer, Writer
from .schema import create
from .store import Store
from .turn import Turn
from .upkeep import Upkeep


class Files:
    """One file, opened; made if it is missing.

    Raises:
        BrokerUnavailableError: It is no log, or none can be there.
        sqlite3.Error, OSError: It can't be opened.
    """

    def __init__(self, path: str, settings: Settings, clock: Clock) -> None:
        lock = path + ".lock"
        wait = settings.append_seconds
        creator = Turn(lock)
        try:
            creator.take(wait)  # without it, two that create at once may collide; then the error says so
            create(path, Position(next_key(0, clock.time_ms()), secrets.randbits(32)))
        finally:
            creator.close()
        # The hard bound leaves room for what trimming, which runs behind, has not taken away yet.
        room = settings.history_bytes * 2
        self.reader = Store(path)
        busy_ms = round(wait * 1000)
        self.keeper = Writer(Store(path, busy_ms=busy_ms), Turn(lock), wait)
        self._inline = Writer(Store(path, max_bytes=room), Turn(lock), 0)
        self._threaded = Writer(Store(path, busy_ms=busy_ms, max_bytes=room), Turn(lock), wait)
        self.committer = Committer(
            self._inline, self._threaded, clock.time_ms, wait, settings.sqlite_commit == "thread"
        )
        self.upkeep = Upkeep(path, self.keeper, settings, clock)
        stat = os.stat(path)
        self._id = (stat.st_dev, stat.st_ino)

    def are_of(self, path: str) -> bool:
        """Whether this is still the file of that name."""
        try:
            stat = os.stat(path)
        except FileNotFoundError:
            return False
        return (stat.st_dev, stat.st_ino) == self._id

    def close(self) -> None:
        self.committer.close()
        for writer in (self._inline, self._threaded, self.keeper):
            writer.close()
        self.reader.close()
