"""Folder: where the workers of one machine write their figures down for each other.

Each worker has two files: ``<id>.json``, replaced as a whole, and ``<id>.lock``, which it keeps locked while it lives.
The kernel lets go of a lock when its process ends, however it ends; a pid could be somebody else's by now, or of
another container. Files of workers that have ended are folded into ``ended.json``.

Reading needs no lock: the workers' files are read first and ``ended.json`` after them, and that names the workers that
are in it already. So each worker counts once, whatever is folded meanwhile, and one that is frozen stops nobody.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

import msgspec
import psutil

from .figures import Figures, added_up

# A file may be folded and still be there for as long as one reader takes; so many are remembered.
_REMEMBERED = 1000
# Nothing else is ever deleted, whatever folder was configured.
_OURS = re.compile(r"[0-9a-f]{16}\.(json|lock|new|json\.new)")


class Machine(NamedTuple):
    """All workers of this machine: how many live, since when (Unix time), and what they have counted together."""

    workers: int
    began: float
    figures: Figures


class _Ended(msgspec.Struct):
    """Workers that have ended: of which server, since when, their ids, and their figures."""

    parent: str
    began: float
    ids: list[str] = []
    figures: Figures = msgspec.field(default_factory=Figures)


class Folder:
    """One worker's view of it. Every call reads or writes files, and may take as long as a disk takes.

    Args:
        path: Made, for this user alone, when it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._id = ""
        self._lock = -1
        self._written = b""

    def write(self, figures: Figures) -> None:
        """Write down what this worker stands at, if that is something else than before.

        Raises:
            OSError: It can't be written.
        """
        if not self._id or not self._lock_file(self._id).exists():  # the first time, or somebody has tidied up
            self._join()
        text = msgspec.json.encode(figures)
        if text != self._written:
            self._replace(f"{self._id}.json", text)
            self._written = text

    def read(self) -> Machine:
        """All workers, this one as it was written last.

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
        """This worker has ended: its counters stay."""
        if self._lock >= 0:
            os.close(self._lock)
        self._id, self._lock, self._written = "", -1, b""

    def _join(self) -> None:
        """Begin anew if this is the first worker of a server. Then have two files of one's own."""
        self.leave()
        for folder in (self._path.parent, self._path):  # mkdir gives the mode only to the last folder of a path
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._turn():
            ended, parent = self._ended(), _parent()
            living = [id for id in self._ids() if self._lives(id)]
            if ended is None or (ended.parent != parent and not living):
                for name in os.listdir(self._path):
                    if _OURS.fullmatch(name) and name[:16] not in living:
                        (self._path / name).unlink(missing_ok=True)
                self._replace("ended.json", msgspec.json.encode(_Ended(parent, time.time())))
            id = token_hex(8)
            # Under another name until it is locked: nobody must take this worker for one that has ended.
            lock = os.open(self._path / f"{id}.new", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.rename(self._path / f"{id}.new", self._lock_file(id))
            self._id, self._lock = id, lock
        self._fold()

    def _fold(self) -> None:
        """Put the files of workers that have ended into one. Left to whoever is at it already."""
        with self._turn(waits=False) as is_mine:
            past = self._ended()
            if not is_mine or past is None:
                return
            gone = [id for id in self._ids() if not self._lives(id)]
            new = [id for id in gone if id not in past.ids]
            if new:
                figures = [self._figures(id) or Figures() for id in new]
                past.figures = added_up((), (*figures, past.figures))
                past.ids = [*past.ids, *new][-_REMEMBERED:]
                self._replace("ended.json", msgspec.json.encode(past))
            for id in gone:
                for file in (f"{id}.json", f"{id}.lock", f"{id}.json.new"):
                    (self._path / file).unlink(missing_ok=True)

    def _ids(self) -> list[str]:
        return [name[:16] for name in os.listdir(self._path) if name.endswith(".lock") and _OURS.fullmatch(name)]

    def _lives(self, id: str) -> bool:
        if id == self._id:
            return True
        try:
            file = os.open(self._lock_file(id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            # Shared, so that two who ask at once do not take each other for the worker.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False

    def _figures(self, id: str) -> Figures | None:
        try:
            return msgspec.json.decode((self._path / f"{id}.json").read_bytes(), type=Figures)
        except FileNotFoundError:
            return None  # it has just come, or was folded a moment ago
        except msgspec.DecodeError:
            return None  # cut short: a machine that lost its power

    def _ended(self) -> _Ended | None:
        try:
            return msgspec.json.decode((self._path / "ended.json").read_bytes(), type=_Ended)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def _lock_file(self, id: str) -> Path:
        return self._path / f"{id}.lock"

    def _replace(self, name: str, text: bytes) -> None:
        """As a whole or not at all, for whoever reads; not for a power cut, after which all begins anew anyway."""
        new = self._path / f"{name}.new"
        with open(os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(text)
        os.rename(new, self._path / name)

    @contextlib.contextmanager
    def _turn(self, *, waits: bool = True) -> Iterator[bool]:
        """One at a time changes what belongs to all."""
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
    """The server that started this process; another one with the same pid began at another time."""
    pid = os.getppid()
    try:
        return f"{pid}-{psutil.Process(pid).create_time()}"
    except psutil.Error:
        return str(pid)
