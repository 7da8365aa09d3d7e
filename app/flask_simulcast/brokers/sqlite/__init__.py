"""The log in one SQLite file: any number of workers on one machine, nothing to install.

An acknowledged event survives any worker that is killed. Power loss may take the last ones:
``synchronous=NORMAL`` does not wait for the disk.
"""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from ...errors import BrokerUnavailableError
from ...event import Draft, Position, next_key
from ...loop import Offload, is_patched
from ...settings import Settings
from ..base import MAX_LEASE_SECONDS, Batch, Broker, Clock, Page, Verdict
from .committer import Committer, Writer
from .disk import Disk
from .doorbell import Doorbell
from .store import Store
from .turn import Turn
from .upkeep import Upkeep

T = TypeVar("T")
_log = logging.getLogger("flask_simulcast")

_UPKEEP_LEASE = "simulcast:upkeep"
_UPKEEP_SECONDS = 5


class _Files:
    """All that is open on one file."""

    def __init__(self, path: str, settings: Settings, clock: Clock) -> None:
        lock = path + ".lock"
        wait = settings.append_seconds
        creator = Turn(lock)
        try:
            creator.take(wait)  # without it, two that create at once may collide; then the error says so
            Store.create(path, Position(next_key(0, clock.time_ms()), secrets.randbits(32)))
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


class SQLiteBroker(Broker):
    """Reads on the loop (8 µs and up), writes through a `Committer`, maintains in a thread.

    Args:
        path: The file; made if it is missing, with its folder, for this user only.
        settings: History bounds and waits.
        clock: Wall and monotonic.

    Raises:
        BrokerUnavailableError: The file can't be opened or made.
    """

    def __init__(self, path: str, settings: Settings, clock: Clock) -> None:
        self._path = os.path.abspath(path)
        self._settings = settings
        self._clock = clock
        self._id = secrets.token_hex(8)
        self._mutex = threading.Lock()  # between the threads of a process without a loop
        self._thread = Offload()
        self._is_closed = False
        self._files = self._open_files()
        self._doorbell = self._hang_doorbell()
        self._disk = Disk(self._path)

    def _open_files(self) -> _Files:
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            return _Files(self._path, self._settings, self._clock)
        except (OSError, sqlite3.Error) as error:
            raise self._cannot_open(error) from error

    def _hang_doorbell(self) -> Doorbell:
        try:
            return Doorbell(self._path + ".bells")
        except OSError as error:
            raise self._cannot_open(error) from error

    def append(self, drafts: Sequence[Draft]) -> list[Position]:
        if not drafts:
            return []
        if self._disk.is_low(about_to_write=sum([len(draft.data) for draft in drafts])):
            raise BrokerUnavailableError(
                f"The disk of {self._path} is nearly full. The event is certainly not stored; make room on the disk, "
                "or lower SIMULCAST_HISTORY_BYTES. The oldest events are being dropped meanwhile."
            )
        if is_patched():
            positions = self._files.committer.append(drafts)
        else:
            with self._mutex:
                positions = self._files.committer.append(drafts)
        self._doorbell.ring()
        return positions

    def read(self, after: Position) -> Batch:
        with self._reading() as store:
            return store.read(after)

    def page(self, channels: Sequence[str], after: Position, up_to: Position, max_bytes: int) -> Page:
        with self._reading() as store:
            return store.page(channels, after, up_to, max_bytes)

    def verdict(self, position: Position, channels: Sequence[str]) -> Verdict:
        with self._reading() as store:
            return store.verdict(position, channels)

    def head(self) -> Position:
        with self._reading() as store:
            return store.head()

    def wait(self, seconds: float) -> None:
        self._doorbell.wait(seconds)

    def hold_lease(self, name: str, holder: str, seconds: float) -> bool:
        with self._reading() as store:
            lease = store.lease(name)
        now = self._clock.monotonic()
        if lease is not None and _holds_for(lease, now):
            if lease[0] != holder:
                return False
            if lease[1] - now > seconds / 2:
                return True  # no need to write it every time

        def take(store: Store) -> bool:
            now = self._clock.monotonic()
            lease = store.lease(name)
            if lease is not None and lease[0] != holder and _holds_for(lease, now):
                return False
            store.set_lease(name, holder, now + min(seconds, MAX_LEASE_SECONDS))
            return True

        return bool(self._thread.run(self._write, take))

    def release_lease(self, name: str, holder: str) -> None:
        self._thread.run(self._write, lambda store: store.drop_lease(name, holder))

    def _write(self, work: Callable[[Store], T]) -> T:
        """With the keeper's connection. In the thread."""
        keeper = self._files.keeper
        keeper.take_turn()
        try:
            return keeper.write(work)
        finally:
            keeper.turn.release()

    def maintain(self) -> None:
        """Notice a file that was swapped under us; then one round of upkeep, in one process at a time."""
        try:
            if not self._files.are_of(self._path):
                self._reopen()
            if self._disk.is_low():
                self._thread.run(self._files.upkeep.give_back)
            is_ours = self.hold_lease(_UPKEEP_LEASE, self._id, _UPKEEP_SECONDS)
            upkeep = self._files.upkeep
            self._thread.run(upkeep.work if is_ours else upkeep.look)
        except (sqlite3.Error, OSError) as error:
            raise BrokerUnavailableError(
                f"The log could not be maintained: {error}. It grows until that is possible again; look at the disk."
            ) from error

    def _reopen(self) -> None:
        """Open the new file off the loop, then let the old one go. Switches."""
        _log.warning("The log %s was replaced under this worker. It reads the new one; listeners are told.", self._path)
        files, doorbell = self._files, self._doorbell
        self._files = self._thread.run(self._open_files)
        self._doorbell = self._hang_doorbell()
        self.generation += 1
        self._thread.run(lambda: None)  # a lease that was being written when the files changed
        files.close()
        doorbell.close()

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._thread.close()  # first: what it is doing needs the files
        self._files.close()
        self._doorbell.close()

    @contextmanager
    def _reading(self) -> Iterator[Store]:
        with self._mutex:
            try:
                yield self._files.reader
            except sqlite3.Error as error:
                raise BrokerUnavailableError(
                    f"The log can't be read: {error}. Look at {self._path} and at the disk; reading goes on by itself."
                ) from error

    def _cannot_open(self, error: Exception) -> BrokerUnavailableError:
        return BrokerUnavailableError(
            f"The log {self._path} can't be opened: {error}. Check the folder of SIMULCAST_BROKER_URL and its permissions."
        )


def _holds_for(lease: tuple[str, float], now: float) -> bool:
    """Whether a lease still counts. One that ends further away than any may last is from before a reboot."""
    return now < lease[1] <= now + MAX_LEASE_SECONDS
