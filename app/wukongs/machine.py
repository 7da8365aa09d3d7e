"""This machine and its worker processes, as psutil sees them."""

from __future__ import annotations

import os
import re
import socket
import time
from contextlib import suppress
from typing import Any

import psutil

#: Name of this machine's wukong.
HOST = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:48] or "localhost"
_WORKER = f"{HOST}-worker-"

# psutil tells the load since it was last asked: so the process objects are kept, and nobody asks twice within
# half a second, or one reader's question would leave the next one a load measured over a few milliseconds.
_FRESH_SECONDS = 0.5
_processes: dict[int, psutil.Process] = {}
_figures: dict[str, tuple[float, dict[str, Any]]] = {}
psutil.cpu_percent()


def figures(name: str) -> dict[str, Any] | None:
    """Of this machine or one of its workers, at most half a second old; None for a worker that is gone."""
    now = time.monotonic()
    if name in _figures and now - _figures[name][0] < _FRESH_SECONDS:
        return _figures[name][1]
    data = _host() if name == HOST else _worker(name)
    if data is None:
        _figures.pop(name, None)
    else:
        _figures[name] = (now, data)
    return data


def _host() -> dict[str, Any]:
    memory = psutil.virtual_memory()
    network = psutil.net_io_counters()
    return {
        "cpu_percent": psutil.cpu_percent(),
        "cpu_count": psutil.cpu_count(),
        "load": [round(value, 2) for value in os.getloadavg()],
        "memory_total_bytes": memory.total,
        "memory_used_bytes": memory.total - memory.available,
        "memory_percent": memory.percent,
        "disk_percent": psutil.disk_usage(os.getcwd()).percent,
        "network_sent_bytes": network.bytes_sent if network else 0,
        "network_received_bytes": network.bytes_recv if network else 0,
        "processes": len(psutil.pids()),
        "uptime_seconds": round(time.time() - psutil.boot_time()),
    }


def worker_names() -> list[str]:
    """The worker processes of this server: this process, and what else its gunicorn master has started."""
    pids = {os.getpid()}
    if os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn"):
        with suppress(psutil.Error):
            children = psutil.Process(os.getppid()).children()
            pids |= {child.pid for child in children if child.status() != psutil.STATUS_ZOMBIE}
    return [f"{_WORKER}{pid}" for pid in sorted(pids)]


def _worker(name: str) -> dict[str, Any] | None:
    pid = int(name.removeprefix(_WORKER))
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
    """The full name behind ``host`` and ``worker-<pid>``; any other name is its own."""
    if name == "host":
        return HOST
    return f"{HOST}-{name}" if re.fullmatch(r"worker-[0-9]{1,10}", name, re.ASCII) else name
