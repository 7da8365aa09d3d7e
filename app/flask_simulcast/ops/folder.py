"""Folder: where the workers of one machine store their figures for each other.

Each worker has two files: ``<id>.json``, replaced as a whole, and ``<id>.lock``, which it keeps locked while it lives.
The kernel releases a lock when its process ends, however it ends; a pid could be another process's by then, or of
another container. Files of workers that have ended are folded into ``ended.json``.

Reading needs no lock: the workers' files are read first and ``ended.json`` after them, which names the workers that
are in it already. So each worker counts once, even if files are folded meanwhile, and a frozen worker blocks no reader.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from .figures import Figures, added_up

# Ids of folded workers that ``ended.json`` keeps. A reader may still see the file of a worker that was just folded.
_REMEMBERED = 1000
# Only these files are ever deleted, whatever folder was configured.
_ENDINGS = (".new", ".json.new", ".json", ".lock")
_OURS = re.compile(f"[0-9a-f]{{16}}({'|'.join(map(re.escape, _ENDINGS))})")


class Machine(NamedTuple):
    """All workers of this machine: the number of living ones, the Unix time at which counting began, and the total figures."""

    workers: int
    began: float
    figures: Figures


@dataclass
class _Ended:
    """Workers that have ended: their server, the Unix time at which counting began, their ids, and their figures."""

    parent: str
    began: float
    ids: list[str] = field(default_factory=list)
    figures: Figures = field(default_factory=Figures)

    def as_json(self) -> str:
        return json.dumps(vars(self) | {"figures": vars(self.figures)}, separators=(",", ":"))

    @classmethod
    def of_json(cls, text: bytes) -> _Ended:
        given = json.loads(text)
        return cls(**given | {"figures": Figures.of_plain(given["figures"])})


class Folder:
    """The folder as one worker uses it. Every call reads or writes files, and takes as long as the disk does.

    Args:
        path: Path of the folder. A missing one is created, for this user alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._id = ""
        self._lock = -1
        self._written = ""

    def write(self, figures: Figures) -> None:
        """Store the figures of this worker, if they have changed.

        Raises:
            OSError: They can't be written.
        """
        if not self._id or not self._lock_file(self._id).exists():  # the first time, or the files were deleted
            self._join()
        text = figures.as_json()
        if text != self._written:
            self._replace(f"{self._id}.json", text)
            self._written = text

    def read(self) -> Machine:
        """Return the figures of all workers; those of this one as they were written last.

        Raises:
            OSError: The folder can't be read.
        """
        living: dict[str, Figures] = {}
        ended: dict[str, Figures] = {}
        for id in self._ids():
            figures = self._figures(id)
            if self._lives(id):
                living[id] = figures or Figures()
            else:
                ended[id] = figures or Figures()
        past = self._ended() or _Ended(_parent(), time.time())
        if ended:
            self._fold()
        for id in past.ids:
            living.pop(id, None)
            ended.pop(id, None)
        return Machine(len(living), past.began, added_up(living.values(), (*ended.values(), past.figures)))

    def leave(self) -> None:
        """End this worker's part. Its counters stay."""
        if self._lock >= 0:
            os.close(self._lock)
        self._id, self._lock, self._written = "", -1, ""

    def _join(self) -> None:
        """Clear the folder if this is the first worker of a server. Then create this worker's two files."""
        self.leave()
        for folder in (self._path.parent, self._path):  # mkdir sets the mode only of the last folder of a path
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._turn():
            ended, parent = self._ended(), _parent()
            living = {id for id in self._ids() if self._lives(id)}
            if ended is None or (ended.parent != parent and not living):
                self._remove(self._ids() - living)
                self._replace("ended.json", _Ended(parent, time.time()).as_json())
            id = token_hex(8)
            # Under another name until it is locked, so that no worker takes this one for one that has ended.
            lock = os.open(self._path / f"{id}.new", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.rename(self._path / f"{id}.new", self._lock_file(id))
            self._id, self._lock = id, lock
        self._fold()

    def _fold(self) -> None:
        """Put the files of workers that have ended into one. Do nothing if another worker is doing so already."""
        with self._turn(waits=False) as is_mine:
            past = self._ended()
            if not is_mine or past is None:
                return
            gone = {id for id in self._ids() if not self._lives(id)}
            new = gone.difference(past.ids)
            if new:
                figures = [self._figures(id) or Figures() for id in new]
                past.figures = added_up((), (*figures, past.figures))
                past.ids = [*past.ids, *new][-_REMEMBERED:]
                self._replace("ended.json", past.as_json())
            self._remove(gone)

    def _remove(self, ids: set[str]) -> None:
        for name in (f"{id}{ending}" for id in ids for ending in _ENDINGS):
            (self._path / name).unlink(missing_ok=True)

    def _ids(self) -> set[str]:
        """Return the ids of all workers that have a file, also one that was left half written by a worker that was killed."""
        return {name[:16] for name in os.listdir(self._path) if _OURS.fullmatch(name)}

    def _lives(self, id: str) -> bool:
        if id == self._id:
            return True
        try:
            file = os.open(self._lock_file(id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            # Shared, so that two readers at once do not take each other for the worker.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False

    def _figures(self, id: str) -> Figures | None:
        try:
            return Figures.of_json((self._path / f"{id}.json").read_bytes())
        except FileNotFoundError:
            return None  # the worker has just started, or was folded a moment ago
        except ValueError:
            return None  # incomplete: the machine lost its power

    def _ended(self) -> _Ended | None:
        try:
            return _Ended.of_json((self._path / "ended.json").read_bytes())
        except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
            return None  # not there, or incomplete, or of another version

    def _lock_file(self, id: str) -> Path:
        return self._path / f"{id}.lock"

    def _replace(self, name: str, text: str) -> None:
        """Replace a file, which readers see as a whole. A power cut may break it, but then counting starts again anyway."""
        new = self._path / f"{name}.new"
        with open(os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(text)
        os.rename(new, self._path / name)

    @contextlib.contextmanager
    def _turn(self, *, waits: bool = True) -> Iterator[bool]:
        """Hold the lock for changes of the shared files. Without ``waits``, yield False if another worker holds it."""
        file = os.open(self._path / "turn.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            is_mine = True
            try:
                fcntl.flock(file, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                is_mine = False
            yield is_mine
        finally:
            os.close(file)


def _parent() -> str:
    """Name the server that started this process by its pid and, on Linux, its start time: another server may get the same
    pid."""
    pid = os.getppid()
    try:
        # proc(5): the name of the command, in parentheses, may hold spaces; field 22 is the 20th after it
        start = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return str(pid)
    return f"{pid}-{start}"
