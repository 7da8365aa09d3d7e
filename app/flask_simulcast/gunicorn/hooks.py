"""Server hooks for gunicorn. The master imports this module, so all else is imported inside a hook, once a worker is patched."""

from __future__ import annotations

import gc
import resource
import signal
import sys
from typing import Any

_MOST_DESCRIPTORS = 65536
# New objects, and collections of the two younger generations. With 5000 listeners that connect, no full collection is needed.
_COLLECT_AFTER = (20_000, 20, 50)
_EXTENSION = __name__.removesuffix(".gunicorn.hooks")


def on_starting(server: Any) -> None:
    """Allow as many open files as the system does: with 1024 a worker is full at about 1000 listeners."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, _MOST_DESCRIPTORS) if hard != resource.RLIM_INFINITY else _MOST_DESCRIPTORS
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if wanted < server.cfg.worker_connections:
        server.log.warning("Only %d open files are allowed: raise ulimit -n, or lower worker_connections.", wanted)


def post_fork(server: Any, worker: Any) -> None:
    """Reset the signal handlers of a new worker, forget what the master has imported of the extension, and let no garbage
    collection interrupt the loading of the app: nearly all that it makes stays.

    Until the worker sets its own handlers, a TERM would be put in its copy of the master's queue and lost (gunicorn #1910).
    After an upgrade and a HUP the worker must not mix modules of the old version, which the master has, with new ones.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    if not server.cfg.preload_app:
        for name in [name for name in sys.modules if name == _EXTENSION or name.startswith(f"{_EXTENSION}.")]:
            del sys.modules[name]
    gc.disable()


def post_worker_init(worker: Any) -> None:
    """Refuse a memory log with several workers, guard gunicorn's own log, set socket options, and drain the worker at its
    end. Leave all that the app has loaded out of garbage collections, and make them rare: in the service a full one stops all
    streams for 40 ms, and with thousands of listeners for 0.3 s.
    """
    from .worker import start

    start(worker)
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
    gc.enable()


def worker_int(worker: Any) -> None:
    """Drain the worker on INT and QUIT. It exits right after this hook, so only here can it still send ``closed``."""
    from .worker import drain_at_quit

    drain_at_quit(worker)


def worker_exit(server: Any, worker: Any) -> None:
    """Wait for the last streams; let the worker's runs go on for what is left of the graceful timeout, and end the others."""
    if worker.booted:
        from .worker import stop_runs_in_time, wait_for_drain

        wait_for_drain(worker)
        stop_runs_in_time(worker)
