"""Room on the disk. On a full one not even a delete goes through, so the log must stop before that."""

from __future__ import annotations

import os
import time

# For whoever trims, and for whoever else writes here. A smaller disk keeps a quarter of itself.
_SPARE_BYTES = 64 << 20
# Asking costs 3 µs. Not asked again for so long, or until so much has been written.
_LOOK_SECONDS = 0.05
_LOOK_BYTES = 256 << 10


class Disk:
    """The file system that a log is on.

    Args:
        path: Of the log.
        most_bytes: Its file never grows beyond this.
    """

    def __init__(self, path: str, most_bytes: int) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._looked_at = float("-inf")
        self._unseen = 0
        self._is_low = False

    def is_low(self, about_to_write: int = 0) -> bool:
        """Whether less is left than the log keeps spare, once its write-ahead log has moved into the file.

        Args:
            about_to_write: Bytes that the caller is going to write if not.
        """
        now = time.monotonic()
        self._unseen += about_to_write
        if now - self._looked_at >= _LOOK_SECONDS or self._unseen >= _LOOK_BYTES:
            self._looked_at = now
            self._unseen = 0
            self._is_low = self._look()
        return self._is_low

    def _look(self) -> bool:
        disk = os.statvfs(os.path.dirname(self._path))
        spare = min(_SPARE_BYTES, disk.f_blocks * disk.f_frsize // 4)
        return disk.f_bavail * disk.f_frsize < spare + self._growth()

    def _growth(self) -> int:
        """By how much the file may grow when its write-ahead log moves into it. A reader that stays can make that larger than
        the file can ever be: what is in it then is the same pages again and again. (The -shm is 1/500 of it.)"""
        return min(wal_bytes(self._path), max(self._most_bytes - _bytes(self._path), 0))


def wal_bytes(path: str) -> int:
    """How large the write-ahead log of a log is on the disk; 0 where there is none."""
    return _bytes(path + "-wal")


def _bytes(path: str) -> int:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0
