"""Checks of gunicorn's configuration, against the settings of the app."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from ..settings import Settings
from .errors import BadInputError
from .faults import fault
from .finding import Finding, note, sound, unseen

_THREADED = ("gthread", "gunicorn.workers.gthread.ThreadWorker")
_PROGRAM = Path(__file__).with_name("gunicorn_facts.py")
_SECONDS = 30
_DEFAULT = "gunicorn.conf.py"
#: Connections of a worker besides its listeners: pages, health checks, requests that publish.
SPARE_CONNECTIONS = 100
# Files of a worker besides its connections: the log, its locks and sockets, pipes, gunicorn's own.
_SPARE_DESCRIPTORS = 64


class Facts(TypedDict):
    """What gunicorn's configuration says. The values have gunicorn's names.

    Attributes:
        config: The file or module that it was read from; empty without one.
        is_patched: Whether the configuration patches the process with gevent.
        hooks: Whether each of our hooks is called.
        raises_descriptors: Whether a hook raises the limit of open files.
    """

    version: str
    config: str
    worker_class: str
    workers: int
    threads: int
    worker_connections: int
    keepalive: int
    timeout: int
    graceful_timeout: int
    max_requests: int
    preload_app: bool
    is_patched: bool
    hooks: dict[str, bool]
    raises_descriptors: bool


def read_facts(arguments: Sequence[str] | None) -> Facts | None:
    """Read the configuration that gunicorn would use in this folder, in a process of its own.

    Args:
        arguments: Words behind ``gunicorn`` in its command. None if the operator named none: then there must be a
            ``gunicorn.conf.py`` here, or GUNICORN_CMD_ARGS.

    Returns:
        None if there is no configuration to read, or gunicorn is not installed.

    Raises:
        BadInputError: gunicorn does not accept the configuration.
    """
    if arguments is None and not (os.path.exists(_DEFAULT) or os.environ.get("GUNICORN_CMD_ARGS")):
        return None
    command = [sys.executable, "-P", str(_PROGRAM), *(arguments or ())]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise BadInputError(
            f"gunicorn's configuration was not read within {_SECONDS} s. Does it wait for something?"
        ) from None
    if done.returncode == 0:
        return _facts_of(done.stdout)
    lines = done.stderr.strip().splitlines() or ["it gives no reason"]
    if "No module named 'gunicorn'" in lines[-1]:
        return None
    raise BadInputError(f"gunicorn does not accept its configuration: {lines[-1].removeprefix('Error: ').rstrip('.')}.")


def _facts_of(output: str) -> Facts:
    try:
        facts: Facts = json.loads(output.splitlines()[-1])
    except (IndexError, ValueError):
        raise BadInputError(
            "gunicorn ends before its configuration is read. Leave out --version and --help; does a line of it exit?"
        ) from None
    return facts


def check(facts: Facts, settings: Settings) -> list[Finding]:
    """Run the checks of this module. Pure, except for the limit of open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    of_gevent = [patching(facts), hooks(facts), keepalive(facts)] if _is_gevent(facts["worker_class"]) else []
    return [
        worker_class(facts),
        *of_gevent,
        connections(facts, settings),
        max_requests(facts),
        memory(facts, settings),
        descriptors_here(hard if facts["raises_descriptors"] else soft, settings.max_listeners),
    ]


def worker_class(facts: Facts) -> Finding:
    """Look whether a worker can hold streams."""
    name, where = facts["worker_class"], facts["config"] or "its defaults"
    if _is_gevent(name):
        return sound("worker class", f"gunicorn {facts['version']} runs {name} workers ({where}).")
    if name in _THREADED:
        return note("worker class", f"{name} workers ({where}): each stream takes one of {facts['threads']} threads.")
    return fault("worker_class", f"{name} workers can't hold streams: gunicorn's is read from {where}.", (name,))


def _is_gevent(worker_class: str) -> bool:
    return "gevent" in worker_class.lower() or "flask_simulcast" in worker_class


def patching(facts: Facts) -> Finding:
    """Look whether the app is imported before gevent patches the process."""
    if not facts["preload_app"] or facts["is_patched"]:
        return sound("patching", "gevent patches the process before it imports the app.")
    return fault(
        "late_patch", "preload_app imports the app before gevent patches: what it imported keeps blocking the loop."
    )


def hooks(facts: Facts) -> Finding:
    """Look whether our hooks are installed: without them a stop takes 30 s and cuts streams."""
    missing = [name for name, is_there in facts["hooks"].items() if not is_there]
    if not missing:
        return sound("hooks", f"{' and '.join(facts['hooks'])} call flask_simulcast.gunicorn.")
    names = " and ".join(missing)
    told = f"gunicorn does not call our {names}: a stop takes {facts['graceful_timeout']} s, and cuts streams without `closed`."
    return fault("hooks", told, (names,))


def connections(facts: Facts, settings: Settings) -> Finding:
    """Look whether a worker that is full of listeners can still answer a health check."""
    room, listeners = facts["worker_connections"], settings.max_listeners
    if facts["worker_class"] in _THREADED:
        return _threads(facts["threads"], listeners)
    if room > listeners:
        return sound("connections", f"worker_connections = {room}, and SIMULCAST_MAX_LISTENERS = {listeners}.")
    if settings.parking and _is_gevent(facts["worker_class"]):
        return note(
            "connections",
            f"A parked stream takes none of a worker's {room} connections. That many WebSockets, or streams that can't park, "
            f"take all: then it looks dead. SIMULCAST_MAX_LISTENERS allows {listeners}.",
        )
    told = f"{listeners} listeners (SIMULCAST_MAX_LISTENERS) take all {room} connections of a worker: it looks dead."
    return fault("connections", told, (room,), (listeners + max(SPARE_CONNECTIONS, listeners // 8),))


def _threads(threads: int, listeners: int) -> Finding:
    if threads > listeners:
        return sound("connections", f"threads = {threads}, and SIMULCAST_MAX_LISTENERS = {listeners}.")
    told = f"{threads} listeners take all threads of a worker, and SIMULCAST_MAX_LISTENERS allows {listeners}: it looks dead."
    return fault("threads", told, (threads,))


def max_requests(facts: Facts) -> Finding:
    """Look whether workers end after a number of requests, and all their streams with them."""
    most = facts["max_requests"]
    if not most:
        return sound("max_requests", "No worker ends after a number of requests.")
    return fault("max_requests", f"After {most} requests a worker ends, and all of its streams with it.", (most,))


def keepalive(facts: Facts) -> Finding:
    """Look whether a connection without a request ends: gunicorn's gevent worker takes 0 for ever."""
    seconds = facts["keepalive"]
    if seconds:
        return sound("keepalive", f"A connection without a request ends after {seconds} s.")
    return fault("keepalive", "A connection without a request never ends, and holds a stopping worker.")


def memory(facts: Facts, settings: Settings) -> Finding:
    """Look whether several workers would have a log each."""
    workers = facts["workers"]
    if not settings.has_memory_log or workers == 1:
        return sound("workers", f"{workers} worker{'s share' if workers > 1 else ' has'} the log.")
    return fault("memory_of_many", f"Each of {workers} workers would have a log of its own.", (workers,))


def descriptors_here(allowed: int, listeners: int) -> Finding:
    """Look at the limit of open files of this process, which a worker that is started from here inherits."""
    if _are_enough(allowed, listeners):
        return sound("descriptors", f"{_counted(allowed)} open files are allowed here.")
    told = f"{allowed} open files are allowed here, too few for SIMULCAST_MAX_LISTENERS = {listeners}. A unit has its own LimitNOFILE."
    return note("descriptors", told)


def descriptors_of_worker(allowed: int, listeners: int) -> Finding:
    """Look whether a worker may open as many files as it may have listeners.

    Args:
        allowed: Its limit, negative for none.
        listeners: Largest number of its listeners.
    """
    if _are_enough(allowed, listeners):
        return sound("descriptors", f"The worker may open {_counted(allowed)} files.")
    told = (
        f"The worker may open {allowed} files, and SIMULCAST_MAX_LISTENERS = {listeners}: it fails before it is full."
    )
    return fault("descriptors", told, (allowed,))


def _are_enough(allowed: int, listeners: int) -> bool:
    return allowed < 0 or allowed >= listeners + _SPARE_DESCRIPTORS


def _counted(allowed: int) -> str:
    return "any number of" if allowed < 0 else str(allowed)


def not_read() -> Finding:
    """Return what is said when there is no configuration."""
    return unseen(
        "gunicorn", "There is no gunicorn.conf.py here. Name gunicorn's arguments: --gunicorn '-c conf.py -w 4'."
    )
