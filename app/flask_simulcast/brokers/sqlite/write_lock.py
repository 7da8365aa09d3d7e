"""The write lock: a file lock beside the log that lets one connection write at a time.

SQLite's own busy wait backs off, and starves one of two writers for up to 1.3 s (measured). Two new workers
that create the file at once collide on `journal_mode`, which does not wait at all. The kernel releases this
lock when its process dies.
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
    """One open file description. Two of them in one process exclude each other too. Threads must not share one.

    When the object is collected, it closes its descriptor. That does not release a copy in another process.
    """

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._give_back = weakref.finalize(self, os.close, self._file)
        self._give_back.atexit = False

    def try_take(self) -> bool:
        """Take the lock if it is free; return whether it was. Never blocks."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def take(self, seconds: float) -> bool:
        """Try to take the lock for up to ``seconds``; return whether it was taken. Blocks the thread, not only the greenlet.

        It polls, because the kernel's own queue has no time limit, and the process that has the lock might be frozen.
        """
        deadline = time.monotonic() + seconds
        while not self.try_take():
            if time.monotonic() >= deadline:
                return False
            _sleep(_POLL_SECONDS)
        return True

    def release(self) -> None:
        """Release the lock."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file, which also releases the lock."""
        self._give_back()
