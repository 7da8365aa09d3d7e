"""What a running server tells of itself: `/inspect` of the apps for tests, and the memory of a worker."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.tools.serving import Server


def inspect(server: Server) -> dict[str, Any]:
    """Counters, greenlets, descriptors, and what else the app shows."""
    return dict(server.get_json("/inspect"))


def count(server: Server, name: str) -> int:
    """A counter, by its name without ``simulcast_``."""
    return int(inspect(server)["metrics"].get(f"simulcast_{name}", 0))


def resident_bytes(pid: int) -> int:
    """Bytes of a process that are in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
