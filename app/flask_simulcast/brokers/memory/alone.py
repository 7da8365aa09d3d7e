"""Whether this worker is the only one of its server that has a log in its memory.

A second one would have a log of its own, and each listener would miss what the other one publishes. What a server is given may
hide the app (a middleware), and how many workers there are may change (TTIN). So the workers find each other, with nothing but
what the kernel shows of processes: those of one server have the same parent and accept on the same socket, and one that has a
log has a mark among its open files. Both go with the process, however it ends. A worker that was told to stop accepts no more,
and counts no longer.

Linux only; elsewhere, and where the kernel does not show it (a worker that has changed its user), nobody is found.
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

_MARK = "simulcast-memory-log"
# A worker that has to stop (HUP, TERM) looks for that once a second, and its successor may be there before.
_PATIENCE_SECONDS = 3.0
_LOOK_SECONDS = 0.1
_PROCESSES = Path("/proc")

_mark: int | None = None
_was_refused = False


def check_alone() -> None:
    """Mark this process as one that has a log. Called before the log is made. Waits up to 3 s for a predecessor; may switch.

    Raises:
        SettingError: Another worker has one.
    """
    global _was_refused  # noqa: PLW0603 - it is the process that is refused
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
                "memory already: a listener of one would miss what the other publishes. Use "
                "SIMULCAST_BROKER_URL=sqlite:///instance/simulcast.db, or one worker."
            )
        time.sleep(_LOOK_SECONDS)


def _leave_mark() -> None:
    global _mark  # noqa: PLW0603 - it is the process that has it
    if _mark is None:
        _mark = os.memfd_create(_MARK)


def _take_mark_away() -> None:
    """Also in a child: it has no log."""
    global _mark
    mark, _mark = _mark, None
    if mark is not None:
        os.close(mark)


os.register_at_fork(after_in_child=_take_mark_away)


def _listening() -> set[str]:
    """The sockets on which this process accepts, as the kernel names them."""
    found = set()
    for number, target in _open_files(os.getpid()):
        if target.startswith("socket:"):
            with suppress(OSError), monkey.get_original("socket", "socket")(fileno=os.dup(number)) as copy:
                if copy.getsockopt(SOL_SOCKET, SO_ACCEPTCONN):
                    found.add(target)
    return found


def _others(listening: set[str]) -> Iterator[int]:
    """Workers of the same server that have a log."""
    me, parent = os.getpid(), os.getppid()
    for path in _PROCESSES.glob("[0-9]*"):
        pid = int(path.name)
        if pid != me and _parent_of(pid) == parent:
            targets = {target for _, target in _open_files(pid)}
            if not targets.isdisjoint(listening) and any(_MARK in target for target in targets):
                yield pid


def _parent_of(pid: int) -> int | None:
    with suppress(OSError):  # it has ended
        # The name, in brackets, may hold anything (proc(5)).
        return int((_PROCESSES / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    return None


def _open_files(pid: int) -> Iterator[tuple[int, str]]:
    folder = f"{_PROCESSES}/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError:  # it has ended, or is not ours to look into
        return
    for name in names:
        with suppress(OSError):  # closed meanwhile
            yield int(name), os.readlink(f"{folder}/{name}")
