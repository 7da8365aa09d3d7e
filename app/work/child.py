"""The child: a process that does one piece of work after the other, as long as its worker lives."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from .kinds import KINDS
from .piece import Piece, WorkError

_LOWEST_PRIORITY = 19
# The one that `begin` got.
_pipes: list[Connection] = []


def begin(pipe: Connection) -> None:
    """Prepare this process: the lowest priority, and an end with its worker's, even if that is killed.

    Args:
        pipe: Where to tell how far the work is. All children share it.
    """
    _pipes.append(pipe)
    os.nice(_LOWEST_PRIORITY)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the server, which ends its children
    threading.Thread(target=_end_with_worker, daemon=True).start()


def work(id: str, folder: str, kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Do one piece of work; return its result.

    Raises:
        WorkError: It can't be done, or is no longer wanted.
    """
    try:
        return KINDS[kind](Piece(id, folder, *_pipes), **options)
    except OSError as error:  # the disk is full, or the folder was removed
        raise WorkError(f"The files of this task can't be used: {error.strerror}. Start it again.", "no_file") from None


def _end_with_worker() -> None:
    worker = multiprocessing.parent_process()
    assert worker is not None
    worker.join()
    os._exit(1)
