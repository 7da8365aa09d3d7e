"""Write events to the file: in the publisher's greenlet if the write lock is free, else as a group in a thread.

Each greenlet hop of a publish (caller, committer, pump, caller) queues behind up to N pending socket
writes, so that every write carries one event: 25 µs a delivery. A commit in the caller's own greenlet
has no hop: 5 µs. While another process writes, the callers' events pile up, and one native thread
stores them all as one group.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

import gevent
from gevent.event import AsyncResult

from ...errors import BrokerUnavailableError, PublishUncertainError
from ...event import Draft
from ...loop import Offload, has_loop
from ..base import Clock, Positions
from .store import Outcome, Store
from .write_lock import WriteLock

T = TypeVar("T")

_INLINE_EVENTS = 64
_GROUP_EVENTS = 1024

_CERTAIN = (
    "The log did not take the event: {}. It is certainly not stored; try again, "
    "and look at the disk and at other processes that have the file open if it goes on."
)


# After these errors the commit's last frame was not written, so the transaction certainly did not commit.
_NOT_COMMITTED = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY})


class Appender:
    """A connection for writing, with its own handle on the write lock.

    Args:
        store: The connection.
        write_lock: The write lock that it takes before it writes.
        seconds: Seconds to wait for the write lock.
    """

    def __init__(self, store: Store, write_lock: WriteLock, seconds: float) -> None:
        self.store = store
        self.write_lock = write_lock
        self._seconds = seconds

    def take_turn(self) -> None:
        """Wait for the write lock. Blocks the thread. The caller must call `write_lock.release` afterwards.

        Raises:
            BrokerUnavailableError: The lock was not free in time.
        """
        if not self.write_lock.take(self._seconds):
            raise BrokerUnavailableError(
                f"The log was busy for {self._seconds:g} s. The change is certainly not stored; try again, "
                "and look for a process that froze during a write if it goes on."
            )

    def write(self, work: Callable[[Store], T]) -> T:
        """Run ``work`` in a transaction that is stored completely or not at all. The caller must hold the write lock.

        Raises:
            BrokerUnavailableError: Certainly not stored.
            PublishUncertainError: The commit itself failed.
        """
        store = self.store
        try:
            store.begin()
            result = work(store)
        except sqlite3.Error as error:
            store.rollback()
            raise BrokerUnavailableError(_CERTAIN.format(error)) from error
        except BaseException:
            store.rollback()
            raise
        try:
            store.commit()
        except sqlite3.Error as error:
            store.rollback()
            if primary_code(error) in _NOT_COMMITTED:
                raise BrokerUnavailableError(_CERTAIN.format(error)) from error
            raise PublishUncertainError(
                f"The log failed while it committed: {error}. The event might be stored; try again with an idempotency key."
            ) from error
        return result

    def close(self) -> None:
        """Close the connection and the write lock."""
        self.store.close()
        self.write_lock.close()


class _Pending:
    """One caller's events that wait for the thread. Either the thread claims them or the caller gives up, never both."""

    def __init__(self, drafts: Sequence[Draft]) -> None:
        self.drafts = drafts
        self.done: AsyncResult[Positions] = AsyncResult()
        self._chance = [None]

    def claim(self) -> bool:
        """Claim these events; return True for the first call only. Popping from a list is atomic between threads."""
        try:
            self._chance.pop()
        except IndexError:
            return False
        return True


class Committer:
    """Appends drafts to the file.

    Args:
        inline: Commits on the loop. Its store never waits for another writer.
        threaded: Commits in the thread. Its store waits for a writer that does not take the write lock.
        clock: For the wall clock.
        seconds: Seconds that an append waits for the write lock.
        always_in_thread: If True, nothing commits on the loop.
    """

    def __init__(
        self, inline: Appender, threaded: Appender, clock: Clock, seconds: float, always_in_thread: bool
    ) -> None:
        self._inline = inline
        self._threaded = threaded
        self._clock = clock
        self._seconds = seconds
        self._always_in_thread = always_in_thread
        self._waiting: list[_Pending] = []
        self._thread = Offload()
        self._group: gevent.Greenlet[[], None] | None = None

    def append(self, drafts: Sequence[Draft]) -> Positions:
        """Store all drafts or none. Switches only if it can't commit at once.

        Raises:
            IdempotencyConflictError: As `Broker.append`.
            BrokerUnavailableError: Certainly not stored.
            PublishUncertainError: Perhaps stored.
        """
        if not has_loop():
            return self._append_here(drafts)
        may_inline = not (self._always_in_thread or self._waiting or self._group or len(drafts) > _INLINE_EVENTS)
        if may_inline and self._inline.write_lock.try_take():
            try:
                return self._commit_one(self._inline, drafts)
            except BrokerUnavailableError as error:
                if not _is_busy(error):
                    raise
            finally:
                self._inline.write_lock.release()
        return self._append_in_thread(drafts)

    def _append_here(self, drafts: Sequence[Draft]) -> Positions:
        """Wait for the write lock, then commit. For a thread without a loop."""
        self._threaded.take_turn()
        try:
            return self._commit_one(self._threaded, drafts)
        finally:
            self._threaded.write_lock.release()

    def _append_in_thread(self, drafts: Sequence[Draft]) -> Positions:
        pending = _Pending(drafts)
        self._waiting.append(pending)
        if self._group is None:
            self._group = gevent.spawn(self._commit_waiting)
        if not pending.done.wait(self._seconds) and pending.claim():
            raise BrokerUnavailableError(
                "Too many callers wait for the log. The event is certainly not stored; try again later."
            )
        if not pending.done.ready():
            pending.done.wait(self._seconds)
        if not pending.done.ready():
            raise PublishUncertainError(
                "The log has not answered in time. The event might be stored; try again with an idempotency key."
            )
        return pending.done.get() or Positions()

    def _commit_waiting(self) -> None:
        """Store the waiting events, group by group, until no caller waits."""
        try:
            while self._waiting:
                group = self._take_group()
                self._thread.run(self._commit_group, group)
                for pending, outcome in group.items():
                    if isinstance(outcome, BaseException):
                        pending.done.set_exception(outcome)
                    elif outcome is not None:
                        pending.done.set(outcome)
        finally:
            self._group = None

    def _take_group(self) -> dict[_Pending, Positions | BaseException | None]:
        """Take callers from the head of the line: one, and more until they have too many events."""
        events = 0
        group: list[_Pending] = []
        while self._waiting and events < _GROUP_EVENTS:
            pending = self._waiting.pop(0)
            group.append(pending)
            events += len(pending.drafts)
        return dict.fromkeys(group)

    def _commit_group(self, group: dict[_Pending, Positions | BaseException | None]) -> None:
        """Commit a group and fill in the outcome of each caller. Runs in the thread."""
        appender = self._threaded
        try:
            appender.take_turn()
        except BrokerUnavailableError as error:
            group.update({pending: error for pending in group if pending.claim()})
            return
        try:
            tickets = [pending for pending in group if pending.claim()]
            if not tickets:
                return
            try:
                outcomes = self._commit(appender, [pending.drafts for pending in tickets])
            except Exception as error:  # passed to each caller, which raises it
                group.update(dict.fromkeys(tickets, error))
                return
            group.update(zip(tickets, outcomes, strict=True))
        finally:
            appender.write_lock.release()

    def _commit_one(self, appender: Appender, drafts: Sequence[Draft]) -> Positions:
        now_ms = self._clock.time_ms()
        return appender.write(lambda store: store.append(drafts, now_ms, in_thread=False))

    def _commit(self, appender: Appender, batches: Sequence[Sequence[Draft]]) -> list[Outcome]:
        """Commit the batches of several callers as one transaction. Runs in the thread."""
        now_ms = self._clock.time_ms()
        return appender.write(lambda store: store.append_each(batches, now_ms, in_thread=True))

    def close(self) -> None:
        """Store the events that wait, then end the thread. May switch."""
        if self._group is not None:
            self._group.join()
        self._thread.close()


def primary_code(error: sqlite3.Error) -> int:
    """Return the primary result code of an error: SQLITE_BUSY for SQLITE_BUSY_RECOVERY and SQLITE_BUSY_SNAPSHOT too. 0 for
    an error that SQLite did not report itself, such as a closed connection.

    Source: https://sqlite.org/rescode.html, "Primary Result Codes versus Extended Result Codes".
    """
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _is_busy(error: BrokerUnavailableError) -> bool:
    """Tell whether a writer that does not take the write lock is writing. The thread can wait for it."""
    cause = error.__cause__
    return isinstance(cause, sqlite3.Error) and primary_code(cause) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
