"""Nemeses that exchange the log for another one, while a server runs on it or is started again."""

from __future__ import annotations

import random
import shutil
import threading
import time
from abc import abstractmethod
from pathlib import Path

from tests.faults.checker import History
from tests.faults.nemesis import Nemesis, Service
from tests.tools.redis_server import Redis
from tests.tools.relay import Relay
from tests.tools.serving import wait_until
from tests.tools.tiers import Store


class Exchange(Nemesis):
    """Replaces the log by another one.

    Args:
        chance: Its dice.
        history: Is told when.
        store: Whose log it is.
        service: That runs on it.

    Attributes:
        goes_back: What was stored before `prepare` is still there afterwards; otherwise nothing is.
    """

    goes_back = False

    def __init__(self, chance: random.Random, history: History, store: Store, service: Service) -> None:
        super().__init__(chance)
        self._history = history
        self._store = store
        self._service = service

    @property
    def redis(self) -> Redis:
        """Of the store."""
        assert self._store.redis is not None
        return self._store.redis

    def prepare(self) -> None:
        """Keep a copy of the present log, if the exchange goes back to it."""

    def strike(self) -> None:
        began = time.monotonic()
        self.exchange()
        self._history.replaced.append((began, time.monotonic()))
        self.note(f"{type(self).__name__} is over")

    @abstractmethod
    def exchange(self) -> None:
        """Do it, and return when no process writes to the old log."""


class Restart(Exchange):
    """Restarts a server whose log is in its memory."""

    def exchange(self) -> None:
        self._service.stop()
        self._service.start()


class Wipe(Exchange):
    """Deletes the files of an SQLite log while the server runs."""

    # Each worker notices within half a second; what was acknowledged until then goes with the old file.
    NOTICE_SECONDS = 1.0

    def exchange(self) -> None:
        for file in _files(self._store):
            file.unlink()
        threading.Event().wait(self.NOTICE_SECONDS)


class Restore(Exchange):
    """Restores a copy of an SQLite log, as operations.md says: the server is stopped, and started again."""

    goes_back = True

    def prepare(self) -> None:
        """With the server stopped: the newest events are in the file beside it."""
        self._service.stop()
        for file in _files(self._store):
            shutil.copy(file, self._store.folder / f"copy-{file.name}")
        self._service.start()

    def exchange(self) -> None:
        self._service.stop()
        for file in _files(self._store):
            file.unlink()
        for file in self._store.folder.glob("copy-*"):
            shutil.move(file, self._store.folder / file.name.removeprefix("copy-"))
        self._service.start()


def _files(store: Store) -> list[Path]:
    return [file for file in store.folder.glob("log.db*") if file.suffix in (".db", ".db-wal", ".db-shm")]


class Flush(Exchange):
    """Sends FLUSHALL."""

    def exchange(self) -> None:
        assert self.redis.command("FLUSHALL").startswith(b"+OK")


class Forget(Exchange):
    """Kills Redis without persistence, and starts it again."""

    def exchange(self) -> None:
        self.redis.kill()
        self.redis.start()


class LoadDump(Exchange):
    """Kills Redis, and starts it again with an older dump."""

    goes_back = True

    def prepare(self) -> None:
        assert self.redis.command("SAVE").startswith(b"+OK")
        shutil.copy(self.redis.folder / "dump.rdb", self.redis.folder / "older.rdb")

    def exchange(self) -> None:
        self.redis.kill()
        shutil.move(self.redis.folder / "older.rdb", self.redis.folder / "dump.rdb")
        self.redis.start()


class Promote(Exchange):
    """Lets a replica that missed the last writes take over, behind the same address.

    Args:
        relay: That address. Its target is the first master.
        masters: Holds each replica. The maker of this object stops them.
    """

    goes_back = True

    def __init__(
        self,
        chance: random.Random,
        history: History,
        store: Store,
        service: Service,
        relay: Relay,
        masters: list[Redis],
    ) -> None:
        super().__init__(chance, history, store, service)
        self._relay = relay
        self._masters = masters

    def prepare(self) -> None:
        """Give a replica all present writes, and none after that."""
        master = self._masters[-1]
        replica = Redis(
            self._store.folder / f"replica-{len(self._masters)}",
            keeps=False,
            options={"replicaof": f"127.0.0.1 {master.port}", "repl-diskless-sync-delay": "0"},
        )
        replica.start()
        self._masters.append(replica)
        wait_until(lambda: b"master_link_status:up" in replica.command("INFO", "replication"), 20, "a replica")
        wait_until(lambda: _offset(master, b"master_repl_offset") <= _offset(replica, b"slave_repl_offset"), 20)
        assert replica.command("REPLICAOF", "NO", "ONE").startswith(b"+OK")

    def exchange(self) -> None:
        self._masters[-2].kill()
        self._relay.target = self._masters[-1].port
        self._relay.block()
        self._relay.open()


def _offset(redis: Redis, name: bytes) -> int:
    lines = redis.command("INFO", "replication").split(b"\r\n")
    return next(int(line.partition(b":")[2]) for line in lines if line.startswith(name + b":"))
