"""Room on the disk. On a full disk even a delete fails, so the log must stop growing before that."""

from __future__ import annotations

import os
import time

# Kept free for trimming and for other programs that write to this disk; on a small disk, a quarter of the disk at most.
_SPARE_BYTES = 64 << 20
# A look costs 3 µs. The result is reused for this time, or until this many bytes were written.
_LOOK_SECONDS = 0.05
_LOOK_BYTES = 256 << 10


class Disk:
    """The file system that a log is on.

    Args:
        path: Path of the log.
        most_bytes: Size that the log's file never exceeds.
    """

    def __init__(self, path: str, most_bytes: int) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._looked_at = float("-inf")
        self._unseen = 0
        self._is_low = False

    def is_low(self, about_to_write: int = 0) -> bool:
        """Tell whether the disk would have less than the spare bytes left once the write-ahead log moved into the file.

        Args:
            about_to_write: Bytes that the caller is going to write if the disk is not low.
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
        """Return how many bytes the file might grow when its write-ahead log moves into it. A reader that stays can make the
        write-ahead log larger than the file can ever be: it then holds many versions of the same pages. (The -shm is 1/500
        of it.)"""
        return min(wal_bytes(self._path), max(self._most_bytes - _bytes(self._path), 0))


def wal_bytes(path: str) -> int:
    """Return the size of a log's write-ahead log on the disk; 0 if there is none."""
    return _bytes(path + "-wal")


def log_bytes(path: str) -> int:
    """Return the size of a log's file on the disk; 0 if there is none."""
    return _bytes(path)


def _bytes(path: str) -> int:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0
