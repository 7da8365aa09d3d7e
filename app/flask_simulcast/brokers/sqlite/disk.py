"""Room on the disk. On a full one not even a delete goes through, so the log must stop before that."""

from __future__ import annotations

import contextlib
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
    """

    def __init__(self, path: str) -> None:
        self._folder = os.path.dirname(path)
        self._wal = path + "-wal"
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
        disk = os.statvfs(self._folder)
        spare = min(_SPARE_BYTES, disk.f_blocks * disk.f_frsize // 4)
        with contextlib.suppress(FileNotFoundError):
            spare += os.path.getsize(self._wal)
        return disk.f_bavail * disk.f_frsize < spare
