"""Pool: the processes of one worker that do its work.

Nothing here blocks a patched process: what `concurrent.futures` and `multiprocessing` wait for, they wait for by `threading` and
`select`, which gevent has patched; a read of a pipe happens only when the pipe has something. Nothing of it starts before the
first piece of work: most workers never do any.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from queue import Empty, SimpleQueue
from typing import Any

from . import child
from .piece import Update, WorkError

Result = dict[str, Any]


class Order:
    """A piece of work that this worker waits for.

    Args:
        future: Its result.
        updates: What the child tells.
    """

    def __init__(self, future: Future[Result], updates: SimpleQueue[Update | None]) -> None:
        self._future = future
        self._updates = updates
        future.add_done_callback(lambda _: updates.put(None))

    def updates(self, seconds: float) -> Iterator[Update | None]:
        """Yield what the child tells until it is done, and None after each silence of this length. Switches."""
        while not self._future.done():
            with suppress(Empty):
                yield self._updates.get(timeout=seconds)
                continue
            yield None

    def result(self) -> Result:
        """Return the result. Switches, if it is not there.

        Raises:
            WorkError: The work can't be done; ``process_lost``: the child ended in the middle.
        """
        try:
            return self._future.result()
        except BrokenProcessPool:
            raise WorkError("The process that worked on this ended. Start it again.", "process_lost") from None


class Pool:
    """Children, one fewer than there are cores, and at least one."""

    def __init__(self) -> None:
        self._executor: ProcessPoolExecutor | None = None
        self._told: tuple[Connection, Connection] | None = None
        self._updates: dict[str, SimpleQueue[Update | None]] = {}

    def order(self, id: str, folder: str, kind: str, options: Mapping[str, Any]) -> Order:
        """Have a piece of work done, after those that were ordered before. May switch.

        Args:
            id: Of the work.
            folder: Its folder. To remove it stops the work.
            kind: One of `kinds.KINDS`.
            options: Of that kind.
        """
        updates = self._updates[id] = SimpleQueue()
        try:
            future = self._here().submit(child.work, id, folder, kind, options)
        except BrokenProcessPool:  # a child was killed since
            self._executor = None
            future = self._here().submit(child.work, id, folder, kind, options)
        future.add_done_callback(lambda _: self._updates.pop(id, None))
        return Order(future, updates)

    def close(self) -> None:
        """End the children, after what they do now. Switches."""
        if self._executor is not None:
            self._executor.shutdown()
            self._executor = None

    def _here(self) -> ProcessPoolExecutor:
        if self._executor is None:
            # A forked child would have the worker's sockets, greenlets and patches.
            spawn = multiprocessing.get_context("spawn")
            if self._told is None:
                self._told = spawn.Pipe(duplex=False)
                threading.Thread(target=self._hear, args=self._told[:1], name="work", daemon=True).start()
            self._executor = ProcessPoolExecutor(
                max(len(os.sched_getaffinity(0)) - 1, 1), spawn, initializer=child.begin, initargs=self._told[1:]
            )
        return self._executor

    def _hear(self, pipe: Connection) -> None:
        """Hand on what the children tell."""
        while True:
            wait([pipe])
            update: Update = pipe.recv()
            updates = self._updates.get(update.id)
            if updates is not None:
                updates.put(update)


def end_children() -> None:
    """End the child processes of this worker at once. By themselves they end only when they get the processor, for which they
    have the lowest priority: on a busy machine the worker would wait for seconds."""
    for process in multiprocessing.active_children():
        process.kill()
