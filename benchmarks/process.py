"""CPU time and memory of a process, read from ``/proc``. Linux only."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

SERVER_CORE = 0
CLIENT_CORE = 1


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU seconds of all threads of these processes, exact to the ns (``utime`` counts in steps of 10 ms)."""
    return sum(_thread_ns(task) for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def resident_bytes(pids: Iterable[int]) -> int:
    """Return the resident memory of these processes, in bytes."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE")


def children_of(pid: int) -> list[int]:
    """Return the pids of the processes that a process started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def pin(pid: int, core: int) -> None:
    """Keep a process, and the processes that it starts later, on one core. Do nothing on a machine with a single core."""
    if (os.cpu_count() or 1) > 1:
        with suppress(OSError):  # a container might not have the first two
            os.sched_setaffinity(pid, {core})


def _thread_ns(task: Path) -> int:
    try:
        return int((task / "schedstat").read_text().split()[0])
    except FileNotFoundError:  # it ended meanwhile
        return 0
