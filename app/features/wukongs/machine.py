"""This machine and its worker processes, as psutil sees them."""

from __future__ import annotations

import os
import re
import time
from typing import Any, NamedTuple

import psutil

from ...host import HOST, worker_pids

_WORKER = f"{HOST}-worker-"
_WORKER_NAME = re.compile(re.escape(_WORKER) + "[0-9]{1,10}", re.ASCII)

#: Seconds over which `top_processes` should measure: a shorter time is inexact, and a longer one delays the answer.
PROCESSES_SECONDS = 0.2
_MAX_NAME_CHARACTERS = 64
_READ = ["name", "cpu_times", "memory_info", "create_time"]

# psutil returns the load since its last call. So the process objects are kept, and psutil is called at most once in half a
# second; otherwise the next reader would get a load measured over a few milliseconds.
_FRESH_SECONDS = 0.5
_processes: dict[int, psutil.Process] = {}
_figures: dict[str, tuple[float, dict[str, Any]]] = {}
psutil.cpu_percent()


def figures(name: str) -> dict[str, Any] | None:
    """Return the figures of this machine or a worker, at most half a second old; None for a worker that has ended."""
    now = time.monotonic()
    if name in _figures and now - _figures[name][0] < _FRESH_SECONDS:
        return _figures[name][1]
    data = host_figures() if name == HOST else _worker(name)
    if data is None:
        _figures.pop(name, None)
    else:
        _figures[name] = (now, data)
    return data


def host_figures() -> dict[str, Any]:
    """Return the figures of this machine. The load is measured since the last call."""
    memory = psutil.virtual_memory()
    network = psutil.net_io_counters()
    return {
        "cpu_percent": psutil.cpu_percent(),
        "cpu_count": psutil.cpu_count(),
        "load": [round(value, 2) for value in os.getloadavg()],
        "memory_total_bytes": memory.total,
        "memory_used_bytes": memory.total - memory.available,
        "memory_percent": memory.percent,
        "disk_percent": psutil.disk_usage(".").percent,  # also of a folder that a deploy has removed, which has no path
        "network_sent_bytes": network.bytes_sent if network else 0,
        "network_received_bytes": network.bytes_recv if network else 0,
        "processes": len(psutil.pids()),
        "uptime_seconds": uptime_seconds(),
    }


def uptime_seconds() -> int:
    """Return the seconds since this machine was started."""
    return round(time.time() - psutil.boot_time())


class ProcessTimes(NamedTuple):
    """The CPU time that every process had used at one moment.

    Attributes:
        at: Monotonic seconds of that moment.
        used: CPU seconds by pid and start time, because a pid is reused.
    """

    at: float
    used: dict[tuple[int, float], float]


def process_times() -> ProcessTimes:
    """Return the CPU times of now, from which `top_processes` measures. Takes about 40 µs a process."""
    times = ProcessTimes(time.monotonic(), {})
    for process in psutil.process_iter(["cpu_times", "create_time"]):
        times.used[process.pid, process.info["create_time"]] = _used(process.info["cpu_times"])
    return times


def top_processes(since: ProcessTimes, limit: int, by: str, only: int | None = None) -> list[dict[str, Any]]:
    """Return the processes that use most, with their names only: command lines can have passwords.

    Args:
        since: The CPU times of a moment ago.
        limit: Maximum number of processes.
        by: ``cpu`` or ``memory``.
        only: Pid of the only process to return; None for all.
    """
    seconds = max(time.monotonic() - since.at, 0.001)
    found = []
    for process in psutil.process_iter(_READ):
        info = process.info
        if info["memory_info"] is None or only not in (None, process.pid):
            continue
        now = _used(info["cpu_times"])
        before = since.used.get((process.pid, info["create_time"]), now)
        found.append(
            {
                "pid": process.pid,
                "name": (info["name"] or "")[:_MAX_NAME_CHARACTERS],
                "cpu_percent": round((now - before) / seconds * 100, 1),
                "memory_bytes": info["memory_info"].rss,
            }
        )
    key = "memory_bytes" if by == "memory" else "cpu_percent"
    return sorted(found, key=lambda one: one[key], reverse=True)[:limit]


def _used(times: Any) -> float:
    return times.user + times.system if times is not None else 0.0


def worker_names() -> list[str]:
    """Return the names of this server's workers."""
    return [f"{_WORKER}{pid}" for pid in worker_pids()]


def pid_of(name: str) -> int:
    """Return the pid in a worker's name."""
    return int(name.removeprefix(_WORKER))


def _worker(name: str) -> dict[str, Any] | None:
    pid = pid_of(name)
    try:
        process = _processes.setdefault(pid, psutil.Process(pid))
        with process.oneshot():
            return {
                "pid": pid,
                "cpu_percent": process.cpu_percent(),
                "memory_bytes": process.memory_info().rss,
                "threads": process.num_threads(),
                "descriptors": process.num_fds(),
                "uptime_seconds": round(time.time() - process.create_time()),
            }
    except psutil.Error:
        _processes.pop(pid, None)
        return None


def canonical(name: str) -> str:
    """Return the full name for ``host`` and ``worker-<pid>``; any other name unchanged, also that of a machine that is called
    ``worker-1``."""
    if name in ("host", HOST):
        return HOST
    return f"{HOST}-{name}" if re.fullmatch(r"worker-[0-9]{1,10}", name, re.ASCII) else name


def is_reserved(name: str) -> bool:
    """Tell whether a full name is this machine's, or of one of its workers, whether that runs now or not."""
    return name == HOST or _WORKER_NAME.fullmatch(name) is not None
