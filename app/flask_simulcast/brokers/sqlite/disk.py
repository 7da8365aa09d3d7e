"""Room on the disk. On a full one not even a delete goes through, so the log must stop before that."""

from __future__ import annotations

import contextlib
import os
import time

# For whoever trims, and for whoever else writes here. A smaller disk keeps a quarter of itself.
_SPARE_BYTES = 64 << 20
# Asking costs 2 µs; not asked again for so long, since at 100 MB/s it can't fill what is spare.
_LOOK_SECONDS = 0.05


class Disk:
    """The file system that a log is on.

    Args:
        path: Of the log.
    """

    def __init__(self, path: str) -> None:
        self._folder = os.path.dirname(path)
        self._wal = path + "-wal"
        self._looked_at = float("-inf")
        self._is_low = False

    def is_low(self) -> bool:
        """Whether less is left than the log keeps spare, once its write-ahead log has moved into the file."""
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            self._is_low = self._look()
        return self._is_low

    def _look(self) -> bool:
        disk = os.statvfs(self._folder)
        spare = min(_SPARE_BYTES, disk.f_blocks * disk.f_frsize // 4)
        with contextlib.suppress(FileNotFoundError):
            spare += os.path.getsize(self._wal)
        return disk.f_bavail * disk.f_frsize < spare
