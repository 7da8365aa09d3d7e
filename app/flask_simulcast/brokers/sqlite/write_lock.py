"""Whose turn it is to write: a file lock beside the log.

SQLite's own busy wait backs off, and starves one of two writers for up to 1.3 s (measured); and two fresh
workers that create the file at once collide on `journal_mode`, which does not wait at all. The kernel's
lock goes with the process that dies.
"""

from __future__ import annotations

import fcntl
import os
import time
import weakref

from gevent import monkey

_POLL_SECONDS = 0.0005
_sleep = monkey.get_original("time", "sleep")


class WriteLock:
    """One open file description: two of one process exclude each other too. Not for sharing between threads.

    One that is dropped gives its descriptor back, which lets no copy of it in another process go.
    """

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._give_back = weakref.finalize(self, os.close, self._file)
        self._give_back.atexit = False

    def try_take(self) -> bool:
        """Take it if it is free. Never blocks."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def take(self, seconds: float) -> bool:
        """Take it, trying again and again for so long. Blocks the thread, not only the greenlet.

        Not the kernel's own queue, which knows no limit: whoever has the turn may be frozen.
        """
        deadline = time.monotonic() + seconds
        while not self.try_take():
            if time.monotonic() >= deadline:
                return False
            _sleep(_POLL_SECONDS)
        return True

    def release(self) -> None:
        """Let the next one write."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file, which gives the turn back as well."""
        self._give_back()
