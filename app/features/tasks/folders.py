"""Folders: one for each task, with its file and its result. Only this user can read them.

A folder has the id of its run as its name; before the run begins, a random one with a suffix. To remove it stops the task.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from ...web.errors import ApiError

_log = logging.getLogger(__name__)

_NEW = ".new"
# An upload at the slowest pace that is allowed takes 34 minutes.
_NEW_SECONDS = 3600
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Folder:
    """The folder of one task.

    Attributes:
        input: The file to work on, if there is one.
        output: The file that the task makes, if its kind makes one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.input, self.output = path / "input", path / "output"

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.path.name

    def create(self) -> BinaryIO:
        """Open its new input to be written."""
        return open(os.open(self.input, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")

    def become(self, id: str) -> Folder:
        """Give it the name of its run, over what an earlier run of this id has left."""
        made = Folder(self.path.with_name(id))
        made.remove()
        self.path.rename(made.path)
        return made

    def remove(self) -> None:
        """Remove all of it. Nothing happens if it is gone."""
        shutil.rmtree(self.path, ignore_errors=True)


class Folders:
    """The folders of all tasks of this machine.

    Args:
        folder: Folder that holds them.
        most_bytes: Size of all their files together.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def new(self) -> Folder:
        """Make one.

        Raises:
            ApiError: 503: the disk is full, or the folder can't be written.
        """
        made = Folder(self._folder / (token_hex(16) + _NEW))
        with refused_unless_written():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            made.path.mkdir(mode=0o700)
        return made

    def of(self, id: str) -> Folder:
        """Return the folder of a run, whether there is one or not."""
        return Folder(self._folder / id)

    def check_room(self) -> None:
        """Check that there is room for all files, and for what is reserved for uploads.

        Raises:
            ApiError: 503 ``no_room``.
        """
        used = sum(_size(path) for made in self._every() for path in (made.input, made.output))
        if used > self._most_bytes:
            raise no_room()

    def known(self) -> Iterator[str]:
        """Yield the ids of the runs that have one; remove the uploads that never became a run."""
        for made in self._every():
            if not made.name.endswith(_NEW):
                yield made.name
            elif _age(made.path) > _NEW_SECONDS:
                made.remove()

    def _every(self) -> list[Folder]:
        with suppress(FileNotFoundError):
            return [Folder(path) for path in self._folder.iterdir()]
        return []


@contextmanager
def refused_unless_written() -> Iterator[None]:
    """Answer 503 if the block can't write: ``no_room`` if the disk is full, else ``tasks_folder``."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise no_room() from None
        _log.error("The folder of tasks (SIMULCAST_TASKS_FOLDER) can't be written: %s", error)
        raise ApiError(503, "tasks_folder", "The server can't keep the files of tasks now. Try again later.") from None


def no_room() -> ApiError:
    """Return the error for a file that does not fit."""
    return ApiError(
        503,
        "no_room",
        "The files of tasks have used up their space. Try again later, or DELETE tasks that have ended.",
        {"Retry-After": "60"},
    )


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _age(path: Path) -> float:
    with suppress(OSError):
        return time.time() - path.stat().st_mtime
    return 0
