"""All that a worker has open on one log: one connection for reading, four for writing, and their write locks."""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable
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
# Wait for the turn to write, unless the settings give another. Other workers need milliseconds for theirs, a busy disk seconds.
_SECONDS = 5.0


class Files:
    """The open connections to one file. A missing file is made.

    Raises:
        BrokerUnavailableError: The file is not a log, or its file system can't hold one.
        sqlite3.Error, OSError: The file can't be opened.
    """

    def __init__(self, path: str, settings: Settings, clock: Clock) -> None:
        lock = path + ".lock"
        wait = settings.broker_seconds or _SECONDS
        creator = WriteLock(lock)
        try:
            creator.take(wait)  # if it times out, two processes might create the file at once; then SQLite raises
            create(path, Position(next_key(0, clock.time_ms()), secrets.randbits(32)))
        finally:
            creator.close()
        room = settings.most_history_bytes
        self.reader = Store(path)
        busy_ms = round(wait * 1000)
        self.changer = Appender(Store(path, busy_ms=busy_ms), WriteLock(lock), wait)
        self._maintainer = Appender(Store(path, busy_ms=busy_ms), WriteLock(lock), wait)
        self._inline = Appender(Store(path, max_bytes=room), WriteLock(lock), 0)
        self._threaded = Appender(Store(path, busy_ms=busy_ms, max_bytes=room), WriteLock(lock), wait)
        self.committer = Committer(self._inline, self._threaded, clock, wait, settings.sqlite_commit_in_thread)
        self.maintenance = Maintenance(path, self._maintainer, settings, clock)
        stat = os.stat(path)
        self._id = (stat.st_dev, stat.st_ino)

    def are_of(self, path: str) -> bool:
        """Tell whether the file at this path is still the open one."""
        try:
            stat = os.stat(path)
        except FileNotFoundError:
            return False
        return (stat.st_dev, stat.st_ino) == self._id

    def close(self) -> None:
        self.committer.close()
        for appender in (self._inline, self._threaded, self.changer, self._maintainer):
            appender.close()
        self.reader.close()


class _Reading:
    """The context of `LogFile.reading`: a generator takes 2 µs more, and each request with a token reads twice."""

    __slots__ = ("_log",)

    def __init__(self, log: LogFile) -> None:
        self._log = log

    def __enter__(self) -> Store:
        self._log.mutex.acquire()
        return self._log.files.reader

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._log.mutex.release()
        if isinstance(error, sqlite3.Error):
            raise BrokerUnavailableError(
                f"The log can't be read: {error}. Look at {self._log.path} and at the disk; the worker retries by itself."
            ) from error


class LogFile:
    """A log by its path. It follows the path when the file is replaced. Reads run on the loop, changes in one thread, and
    maintenance in another.

    Args:
        path: The file. A missing file is made, with its folder, for this user only.
        settings: The history bounds and timeouts.
        clock: The wall clock and the monotonic clock.

    Attributes:
        path: The absolute path.
        mutex: Guards the connections between threads without a loop.
        files: The open connections.
        doorbell: The doorbell of this process.
        disk: The disk that the file is on.

    Raises:
        BrokerUnavailableError: The file can't be opened or made.
    """

    def __init__(self, path: str, settings: Settings, clock: Clock) -> None:
        self.path = os.path.abspath(path)
        self.mutex = threading.Lock()
        self._settings = settings
        self._clock = clock
        self._changers = Offload()
        self._maintainers = Offload()
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

    def reading(self) -> _Reading:
        """Lend the connection for reading to the caller, for a ``with`` block. Never switches."""
        return _Reading(self)

    def change(self, work: Callable[[Store], T]) -> T:
        """Run ``work`` off the loop, with the write lock, as one transaction. Switches if there is a loop."""
        result: T = self._changers.run(self._write, work)
        return result

    def _write(self, work: Callable[[Store], T]) -> T:
        """Write. Runs in the thread of changes."""
        changer = self.files.changer
        changer.take_turn()
        try:
            return changer.write(work)
        finally:
            changer.write_lock.release()

    def maintain(self, work: Callable[[Maintenance], T]) -> T:
        """Run a part of maintenance in a thread of its own, because a change must not wait for a round of it. Switches if
        there is a loop."""
        result: T = self._maintainers.run(lambda: work(self.files.maintenance))
        return result

    def check_space(self, bytes: int) -> None:
        """Refuse new data on a disk that is nearly full, so that leases can still be renewed and history be dropped."""
        if self.disk.is_low(about_to_write=bytes):
            raise BrokerUnavailableError(
                f"The disk of {self.path} is nearly full. The change is certainly not stored; make room on the disk, "
                "or lower SIMULCAST_HISTORY_BYTES. The oldest events are being dropped meanwhile."
            )

    def is_swapped(self) -> bool:
        """Tell whether another file has this path now."""
        return not self.files.are_of(self.path)

    def reopen(self) -> Callable[[], None]:
        """Open the new file off the loop, which switches. Between that and the return nothing switches.

        Returns:
            A function that closes the old file. It switches.
        """
        _log.warning(
            "The log %s was replaced under this worker. It reads the new file, and tells listeners.", self.path
        )
        files, doorbell = self.files, self.doorbell
        self.files = self._changers.run(self._open_files)
        self.doorbell = self._hang_doorbell()

        def let_go() -> None:
            for thread in (self._changers, self._maintainers):
                thread.run(lambda: None)  # waits for a write to the old file that began before the change
            files.close()
            doorbell.close()

        return let_go

    def close(self) -> None:
        """Finish the work under way, then close everything. May switch."""
        if self._is_closed:
            return
        self._is_closed = True
        self._changers.close()  # first, because their work needs the files
        self._maintainers.close()
        self.files.close()
        self.doorbell.close()
