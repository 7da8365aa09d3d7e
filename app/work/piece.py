"""Piece: one piece of work, as the child that does it sees it: its files, and the way to tell how far it is."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

# Between two chunks the child looks whether the work is still wanted.
_CHUNK_BYTES = 1 << 20
_PATTERN = bytes(range(256)) * (_CHUNK_BYTES // 256)
_TELL_SECONDS = 0.1


class WorkError(Exception):
    """The work can't be done. It passes from the child to the worker.

    Args:
        message: What happened, and what to do, for people.
        code: A name for programs.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message, code)
        self.message = message
        self.code = code


class Update(NamedTuple):
    """How far a piece of work is.

    Attributes:
        id: Of the work.
        percent: 0 to 100.
        message: The same for people.
    """

    id: str
    percent: int
    message: str


class Piece:
    """One piece of work. Its folder is the order to do it: a child whose folder is removed stops within one chunk.

    Attributes:
        input: File to read, if there is one.
        output: File to write, if the work makes one.
    """

    def __init__(self, id: str, folder: str, pipe: Connection) -> None:
        self.input = Path(folder, "input")
        self.output = Path(folder, "output")
        self._id = id
        self._folder = folder
        self._pipe = pipe
        self._told = (-1, float("-inf"))

    def read(self) -> Iterator[bytes]:
        """Yield the input in chunks.

        Raises:
            WorkError: ``stopped``: the folder was removed.
        """
        with self.input.open("rb") as file:
            yield from self._counted(iter(lambda: file.read(_CHUNK_BYTES), b""), os.fstat(file.fileno()).st_size)

    def generate(self, size: int) -> Iterator[bytes]:
        """Yield this number of bytes in chunks: 0 to 255, again and again.

        Raises:
            WorkError: As `read`.
        """
        whole, rest = divmod(size, _CHUNK_BYTES)
        yield from self._counted((_PATTERN if n < whole else _PATTERN[:rest] for n in range(whole + bool(rest))), size)

    def _counted(self, chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
        done = 0
        self._check()
        for chunk in chunks:
            yield chunk
            done += len(chunk)
            self._check()
            self._tell(done, size)

    def _check(self) -> None:
        if not os.path.exists(self._folder):
            raise WorkError("This was stopped on the server. Start it again.", "stopped")

    def _tell(self, done: int, size: int) -> None:
        """Tell how far the work is: each per cent once, at most ten times a second. Less than the size of a pipe's atomic write."""
        percent, now = done * 100 // max(size, 1), time.monotonic()
        told, told_at = self._told
        if percent > told and now - told_at >= _TELL_SECONDS:
            self._told = percent, now
            self._pipe.send(Update(self._id, percent, f"{done >> 20} of {size >> 20} MiB done."))
