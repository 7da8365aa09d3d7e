"""All that a worker has open on one log: a connection to read with, three to write with, and their places in line."""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ...errors import BrokerUnavailableError
from ...event import Position, next_key
from ...loop import Offload
from ...settings import Settings
from ..base import Clock
from .committer import Appender, Committer
from .disk import Disk
from .doorbell import Doorbell
from .maintenance import Maintenance
from .schema import create
from .store import Store
from .write_lock import WriteLock

T = TypeVar("T")
_log = logging.getLogger("flask_simulcast")


class Files:
    """One file, opened; made if it is missing.

    Raises:
        BrokerUnavailableError: It is no log, or none can be there.
        sqlite3.Error, OSError: It can't be opened.
    """

    def __init__(self, path: str, settings: Settings, clock: Clock) -> None:
        lock = path + ".lock"
        wait = settings.append_seconds
        creator = WriteLock(lock)
        try:
            creator.take(wait)  # without it, two that create at once may collide; then the error says so
            create(path, Position(next_key(0, clock.time_ms()), secrets.randbits(32)))
        finally:
            creator.close()
        room = settings.most_history_bytes
        self.reader = Store(path)
        busy_ms = round(wait * 1000)
        self.maintainer = Appender(Store(path, busy_ms=busy_ms), WriteLock(lock), wait)
        self._inline = Appender(Store(path, max_bytes=room), WriteLock(lock), 0)
        self._threaded = Appender(Store(path, busy_ms=busy_ms, max_bytes=room), WriteLock(lock), wait)
        self.committer = Committer(
            self._inline, self._threaded, clock.time_ms, wait, settings.sqlite_commit == "thread"
        )
        self.maintenance = Maintenance(path, self.maintainer, settings, clock)
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
        for appender in (self._inline, self._threaded, self.maintainer):
            appender.close()
        self.reader.close()


class LogFile:
    """A log by its name, whatever file has that name now; read on the loop, written to from one thread.

    Args:
        path: The file; made if it is missing, with its folder, for this user only.
        settings: History bounds and waits.
        clock: Wall and monotonic.

    Attributes:
        path: Absolute.
        mutex: Between the threads of a process without a loop.
        files: What is open.
        doorbell: Of this process.
        disk: That the file is on.

    Raises:
        BrokerUnavailableError: The file can't be opened or made.
    """

    def __init__(self, path: str, settings: Settings, clock: Clock) -> None:
        self.path = os.path.abspath(path)
        self.mutex = threading.Lock()
        self._settings = settings
        self._clock = clock
        self._thread = Offload()
        self._is_closed = False
        self.files = self._open_files()
        self.doorbell = self._hang_doorbell()
        self.disk = Disk(self.path, settings.most_history_bytes)

    def _open_files(self) -> Files:
        try:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            return Files(self.path, self._settings, self._clock)
        except (OSError, sqlite3.Error) as error:
            raise self._cannot_open(error) from error

    def _hang_doorbell(self) -> Doorbell:
        try:
            return Doorbell(self.path + ".bells")
        except OSError as error:
            raise self._cannot_open(error) from error

    def _cannot_open(self, error: Exception) -> BrokerUnavailableError:
        return BrokerUnavailableError(
            f"The log {self.path} can't be opened: {error}. Check the folder of SIMULCAST_BROKER_URL and its permissions."
        )

    @contextmanager
    def reading(self) -> Iterator[Store]:
        """A connection to read with, here and now. Never switches."""
        with self.mutex:
            try:
                yield self.files.reader
            except sqlite3.Error as error:
                raise BrokerUnavailableError(
                    f"The log can't be read: {error}. Look at {self.path} and at the disk; reading goes on by itself."
                ) from error

    def change(self, work: Callable[[Store], T]) -> T:
        """Run it off the loop, in its turn, as one transaction. Switches in a patched process."""
        result: T = self.off_loop(self._write, work)
        return result

    def _write(self, work: Callable[[Store], T]) -> T:
        """With the maintainer's connection. In the thread."""
        maintainer = self.files.maintainer
        maintainer.take_turn()
        try:
            return maintainer.write(work)
        finally:
            maintainer.write_lock.release()

    def off_loop(self, function: Callable[..., T], *arguments: object) -> T:
        """Call it in the thread, one at a time. Switches in a patched process."""
        return self._thread.run(function, *arguments)

    def check_space(self, bytes: int) -> None:
        """Refuse what is new on a disk that is nearly full: a lease must still be renewed there, and history be dropped."""
        if self.disk.is_low(about_to_write=bytes):
            raise BrokerUnavailableError(
                f"The disk of {self.path} is nearly full. It is certainly not stored; make room on the disk, "
                "or lower SIMULCAST_HISTORY_BYTES. The oldest events are being dropped meanwhile."
            )

    def is_swapped(self) -> bool:
        """Whether the file of this name is another one now."""
        return not self.files.are_of(self.path)

    def reopen(self) -> Callable[[], None]:
        """Open the new file off the loop, which switches; nobody else has a turn between that and the return.

        Returns:
            Lets the old one go. Switches.
        """
        _log.warning("The log %s was replaced under this worker. It reads the new one; listeners are told.", self.path)
        files, doorbell = self.files, self.doorbell
        self.files = self.off_loop(self._open_files)
        self.doorbell = self._hang_doorbell()

        def let_go() -> None:
            self.off_loop(lambda: None)  # a lease that was being written when the files changed
            files.close()
            doorbell.close()

        return let_go

    def close(self) -> None:
        """Close all, once what is under way is done. May switch."""
        if self._is_closed:
            return
        self._is_closed = True
        self._thread.close()  # first: what it is doing needs the files
        self.files.close()
        self.doorbell.close()
