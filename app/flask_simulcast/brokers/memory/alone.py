"""Make sure that one worker of a server at most has a log in memory.

A second worker would have a log of its own, and each listener would miss what the other worker publishes. The server can't
check this itself: a middleware might hide the app from it, and the number of workers might change (TTIN). So the workers find
each other through what the kernel shows of processes: workers of one server have the same parent and accept on the same
socket, and a worker that has a log has a mark among its open files. Both vanish with the process, however it ends. A worker
that was told to stop has stopped accepting, so it does not count.

This works on Linux only. Elsewhere, and where the kernel hides it (a worker that has changed its user), no worker is found.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from socket import SO_ACCEPTCONN, SOL_SOCKET

from gevent import monkey

from ...errors import SettingError
from ...settings import INSTEAD_OF_MEMORY

_MARK = "simulcast-memory-log"
# A worker that is told to stop (HUP, TERM) checks once a second, so its successor might start before it stops.
_PATIENCE_SECONDS = 3.0
_LOOK_SECONDS = 0.1
_PROCESSES = Path("/proc")

_mark: int | None = None
_was_refused = False


def check_alone() -> None:
    """Mark this process as one that has a log. Call it before the log is made. Waits up to 3 s for a predecessor; may switch.

    Raises:
        SettingError: Another worker of the same server has a log in memory.
    """
    global _was_refused  # noqa: PLW0603 - the whole process is refused
    listening = _listening()
    if not listening or not hasattr(os, "memfd_create"):
        return
    _leave_mark()
    deadline = time.monotonic() + (0 if _was_refused else _PATIENCE_SECONDS)
    while (other := next(_others(listening), None)) is not None:
        if time.monotonic() >= deadline:
            _was_refused = True
            _take_mark_away()
            raise SettingError(
                f"SIMULCAST_BROKER_URL=memory:// in worker {os.getpid()}, and worker {other} of the same server has its log in "
                f"memory already: a listener of one would miss what the other publishes. {INSTEAD_OF_MEMORY}"
            )
        time.sleep(_LOOK_SECONDS)


def _leave_mark() -> None:
    global _mark  # noqa: PLW0603 - the whole process has the mark
    if _mark is None:
        _mark = os.memfd_create(_MARK)


def _take_mark_away() -> None:
    """Remove the mark. Runs in a forked child too, because it has no log."""
    global _mark
    mark, _mark = _mark, None
    if mark is not None:
        os.close(mark)


os.register_at_fork(after_in_child=_take_mark_away)


def _listening() -> set[str]:
    """Return the sockets on which this process accepts, as the kernel names them."""
    found = set()
    for number, target in _open_files(os.getpid()):
        if target.startswith("socket:"):
            with suppress(OSError), monkey.get_original("socket", "socket")(fileno=os.dup(number)) as copy:
                if copy.getsockopt(SOL_SOCKET, SO_ACCEPTCONN):
                    found.add(target)
    return found


def _others(listening: set[str]) -> Iterator[int]:
    """Find the other workers of the same server that have a log in memory."""
    me, parent = os.getpid(), os.getppid()
    for path in _PROCESSES.glob("[0-9]*"):
        pid = int(path.name)
        if pid != me and _parent_of(pid) == parent:
            targets = {target for _, target in _open_files(pid)}
            if not targets.isdisjoint(listening) and any(_MARK in target for target in targets):
                yield pid


def _parent_of(pid: int) -> int | None:
    with suppress(OSError):  # the process has ended
        # The process name, in brackets, can contain any character (proc(5)).
        return int((_PROCESSES / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    return None


def _open_files(pid: int) -> Iterator[tuple[int, str]]:
    folder = f"{_PROCESSES}/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError:  # the process has ended, or this user must not look into it
        return
    for name in names:
        with suppress(OSError):  # closed meanwhile
            yield int(name), os.readlink(f"{folder}/{name}")
