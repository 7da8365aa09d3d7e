"""Connections to Redis: what one is asked, how long it may take, and what it means when it does not answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import redis
from gevent import lock

from ...errors import BrokerUnavailableError
from ...loop import is_patched
from .scripts import Script

# One that lay about for so long is looked at before it is used: its server may have been started anew.
_IDLE_SECONDS = 0.25
_MOST = 16
_OLDEST_VERSION = (6, 2)
# The server did not do what it was asked; another one may, or the same one later.
_ELSEWHERE = (redis.exceptions.ReadOnlyError, redis.exceptions.BusyLoadingError, redis.exceptions.MasterDownError)

Meet = Callable[[str], None]

_log = logging.getLogger("flask_simulcast")


class AnswerLostError(Exception):
    """The command was sent, and nobody knows what became of it."""


class NoLogError(Exception):
    """There is no log here, or not any more. Nothing was done."""


class Link:
    """One connection, for one command at a time.

    Args:
        pool: Makes connections, and knows where to.
        meet: Called with the id of the server whenever it has connected, before anything is asked. Another id is another
            server, or the same one started anew.
    """

    def __init__(self, pool: redis.ConnectionPool, meet: Meet) -> None:
        self._connection: Any = pool.make_connection()
        self._meet = meet
        self._used_at = 0.0  # 0 while it is not connected

    def open(self) -> None:
        """Connect, if it is not connected any more.

        Raises:
            BrokerUnavailableError: There is no server, or none that can hold a log.
        """
        try:
            if self._used_at and time.monotonic() - self._used_at > _IDLE_SECONDS:
                self._look()
            if not self._used_at:
                self._connection.connect()
                self._check_server()
        except (redis.RedisError, OSError) as error:
            self.close()
            raise _unavailable(error) from error
        except BaseException:
            self.close()
            raise
        self._used_at = time.monotonic()

    def call(self, *command: Any) -> Any:
        """Send a command and wait for its answer. Switches.

        Raises:
            BrokerUnavailableError: Certainly not done.
            AnswerLostError: Perhaps done.
            NoLogError: A script found no log.
        """
        connection = self._connection
        self.open()
        try:
            connection.send_packed_command(connection.pack_command(*command), check_health=False)
        except (redis.RedisError, OSError) as error:  # not all of it: what is not whole is not carried out
            self.close()
            raise _unavailable(error) from error
        except BaseException:
            self.close()
            raise
        try:
            answer = connection.read_response()
        except redis.exceptions.NoScriptError:
            raise
        except _ELSEWHERE as error:
            self.close()
            raise _unavailable(error) from error
        except redis.exceptions.ResponseError as error:
            raise _refused(error) from error
        except (redis.RedisError, OSError) as error:
            self.close()
            if isinstance(error.__context__, _ELSEWHERE):  # what a connection makes of it that sentinels told of
                raise _unavailable(error) from error
            raise AnswerLostError(_told(error)) from error
        except BaseException:  # killed while it waited: the answer that comes is nobody's
            self.close()
            raise
        self._used_at = time.monotonic()
        return answer

    def run(self, script: Script, *arguments: Any) -> Any:
        """Run a script. Raises as `call`."""
        try:
            return self.call("EVALSHA", script.sha, 1, *arguments)
        except redis.exceptions.NoScriptError:
            return self.call("EVAL", script.text, 1, *arguments)

    def close(self) -> None:
        """Hang up. The next call connects anew."""
        with suppress(Exception):
            self._connection.disconnect()
        self._used_at = 0.0

    def _look(self) -> None:
        try:
            is_stale = self._connection.can_read()
        except (redis.RedisError, OSError):
            is_stale = True
        if is_stale:
            self.close()

    def _check_server(self) -> None:
        """Whether it can hold a log, if it tells."""
        self._connection.send_command("INFO", check_health=False)
        try:
            answer = self._connection.read_response()
        except redis.exceptions.NoPermissionError:
            return
        facts = dict(line.split(":", 1) for line in answer.splitlines() if ":" in line)
        version = facts.get("redis_version", "0")
        policy = facts.get("maxmemory_policy", "noeviction")
        if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST_VERSION:
            raise BrokerUnavailableError(f"Redis {version} can't hold the log. Use 6.2 or newer.")
        if policy != "noeviction":
            raise BrokerUnavailableError(
                f"Redis throws keys away when its memory is full (maxmemory-policy {policy}), and with them parts of the log. "
                "Set maxmemory-policy noeviction there."
            )
        if facts.get("aof_enabled", "1") == "0":
            _warn_once(
                "Redis writes no append-only file: what was published is lost when it is started anew. Set appendonly yes."
            )
        self._meet(facts.get("run_id", ""))


class Links:
    """A few connections, for whoever needs one for a moment.

    Args:
        pool: Makes them.
        meet: See `Link`.
        seconds: How long to wait for one.
    """

    def __init__(self, pool: redis.ConnectionPool, meet: Meet, seconds: float) -> None:
        self._pool = pool
        self._meet = meet
        self._seconds = seconds
        # That of threading, patched, loses room for good when a greenlet is killed while it enters or leaves.
        self._room = (lock if is_patched() else threading).BoundedSemaphore(_MOST)
        self._idle: list[Link] = []  # appending and popping are atomic
        self._is_closed = False

    @contextmanager
    def one(self) -> Iterator[Link]:
        """Use one that nobody else uses. Switches.

        Raises:
            BrokerUnavailableError: All are in use for too long.
        """
        if not self._room.acquire(timeout=self._seconds):
            raise BrokerUnavailableError(
                f"Redis is busy with {_MOST} questions of this worker. Nothing was done; try again later."
            )
        try:
            try:
                link = self._idle.pop()
            except IndexError:
                link = Link(self._pool, self._meet)
            try:
                yield link
            finally:
                self._idle.append(link)
                if self._is_closed:
                    self._hang_up()
        finally:
            self._room.release()

    def close(self) -> None:
        """Hang up those that are idle now, and each that is in use after that."""
        self._is_closed = True
        self._hang_up()

    def _hang_up(self) -> None:
        while self._idle:
            self._idle.pop().close()


_warned: set[str] = set()
_mutex = threading.Lock()


def _warn_once(text: str) -> None:
    with _mutex:
        is_new = text not in _warned
        _warned.add(text)
    if is_new:
        _log.warning("%s", text)


def has_timed_out(error: BaseException | None) -> bool:
    """Whether this, or what it was caused by, is an answer that did not come in time."""
    while error is not None and not isinstance(error, redis.exceptions.TimeoutError):
        error = error.__cause__
    return error is not None


def _refused(error: redis.exceptions.ResponseError) -> Exception:
    """What an error that the server answered means. A code in capitals says that it did not begin."""
    text = str(error)
    code = text.partition(" ")[0]
    if code == "NOLOG":
        return NoLogError()
    if type(error) is redis.exceptions.ResponseError and (not code.isupper() or code == "WRONGTYPE"):
        return AnswerLostError(text)  # a script broke off, and may have written already
    return _unavailable(error)


def _unavailable(error: BaseException) -> BrokerUnavailableError:
    if isinstance(error, BrokerUnavailableError):
        return error
    return BrokerUnavailableError(
        f"Redis did not do it: {_told(error)}. It is certainly not stored; try again, and look at Redis if it goes on."
    )


def _told(error: BaseException) -> str:
    """What an error says, without a full stop."""
    return (str(error) or type(error).__name__).rstrip(".")
