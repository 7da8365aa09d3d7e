"""LiveRun: one run that this worker produces: what waits for the log, and whether it has ended."""

from __future__ import annotations

import threading
import time
from collections import deque

from gevent.event import Event as Flag

from ..data import byte_length
from ..event import Draft
from ..run_state import FAILED, RunAppend, RunState, failed_draft

# Of one run, in one append, which holds the write lock.
_EVENTS = 256
_BYTES = 64 << 10
# What may wait for the log. Above that the producer waits.
_MOST_WAITING = 256 << 10


class LiveRun:
    """A run that this worker produces. Its runner and its producer, which may be in another thread, share it.

    Attributes:
        id: Its id.
        state: Its state when it began.
        deadline: Monotonic seconds at which its time is over.
        ending: How it ended, or is about to end; empty before.
        code: Of the error with which this worker ends it; empty for another ending, or another worker's.
        ended: Set when nothing more can be stored: the producer must stop. Of `threading`, for a producer in a thread.
        settled: Set when the log has the ending.
    """

    def __init__(self, state: RunState, seconds: float) -> None:
        self.id = state.id
        self.state = state
        self.deadline = time.monotonic() + seconds
        self.ending = ""
        self.code = ""
        self.ended = threading.Event()
        self.settled = Flag()
        self._room = Flag()
        self._room.set()
        self._waiting: deque[Draft] = deque()
        self._bytes = 0
        self._stored = 0
        self._sent: RunAppend | None = None

    @property
    def has_waiting(self) -> bool:
        """Whether events of it wait for the log."""
        return bool(self._waiting)

    def wait_for_room(self) -> None:
        """Wait until less than the bound waits for the log, or until it has ended. Switches."""
        self._room.wait()

    def add(self, draft: Draft) -> None:
        """Add an event to those that wait."""
        self._waiting.append(draft)
        self._bytes += byte_length(draft.data)
        if self._bytes >= _MOST_WAITING:
            self._room.clear()

    def end(self, draft: Draft, ending: str) -> None:
        """Add the ending. Nothing can be added after it."""
        self.add(draft)
        self.ending = ending
        self.ended.set()
        self._room.set()

    def fail(self, code: str, message: str) -> None:
        """Add the ending of a run that has failed."""
        self.code = code
        self.end(failed_draft(self.id, code, message), FAILED)

    def next_append(self) -> RunAppend:
        """Return the events to append now: after a failure the same ones again, because the log might have them."""
        if self._sent is not None:
            return self._sent
        drafts: list[Draft] = []
        size = 0
        for draft in self._waiting:
            size += byte_length(draft.data)
            if drafts and (size > _BYTES or len(drafts) == _EVENTS):
                break
            drafts.append(draft)
        is_last = len(drafts) == len(self._waiting)
        self._sent = RunAppend(self.id, drafts, self._stored, self.ending if is_last else "")
        return self._sent

    def was_stored(self, append: RunAppend) -> None:
        """Remove events that the log has."""
        self._sent = None
        for draft in append.drafts:
            self._waiting.popleft()
            self._bytes -= byte_length(draft.data)
        self._stored += len(append.drafts)
        if self._bytes < _MOST_WAITING:
            self._room.set()

    def settle(self, ending: str) -> None:
        """Note that the log has an ending, this worker's own or another."""
        self.ending = ending
        self._waiting.clear()
        self.ended.set()
        self._room.set()
        self.settled.set()
