"""Connections to Redis: how commands are sent, how long they may take, and what an error says about their effect."""

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
from ...loop import Threads, has_loop
from .scripts import Script

# A connection that was idle for this time is checked before it is used: its server might have restarted.
_IDLE_SECONDS = 0.25
_MOST = 16
#: Threads for all connections of a worker: these, one to append, one to read on, and one that waits for events.
MOST_THREADS = _MOST + 3
_OLDEST_VERSION = (6, 2)
# The server did not run the command. Another server might run it, or the same server later.
_ELSEWHERE = (redis.exceptions.ReadOnlyError, redis.exceptions.BusyLoadingError, redis.exceptions.MasterDownError)

Meet = Callable[[str], None]

_log = logging.getLogger("flask_simulcast")


class AnswerLostError(Exception):
    """The command was sent, but its answer was lost: it might have run."""


class NoLogError(Exception):
    """The server has no log. Nothing was done."""


class Wire:
    """The connection of a link. It may block.

    Args:
        pool, meet: See `Link`.
    """

    def __init__(self, pool: redis.ConnectionPool, meet: Meet) -> None:
        self._connection: Any = pool.connection_class(**pool.connection_kwargs)
        self._meet = meet
        self._used_at = 0.0  # 0 while it is not connected
        self._is_dropped = False

    def open(self) -> None:
        """Connect, unless the connection is open.

        Raises:
            BrokerUnavailableError: No server answers, or the server can't hold a log.
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
        """Send a command and wait for its answer. Raises as `Link.call`."""
        connection = self._connection
        self.open()
        try:
            connection.send_packed_command(connection.pack_command(*command), check_health=False)
        except (redis.RedisError, OSError) as error:  # only a part was sent, and Redis runs no incomplete command
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
            if isinstance(error.__context__, _ELSEWHERE):  # a connection found through sentinels wraps these errors
                raise _unavailable(error) from error
            raise AnswerLostError(_told(error)) from error
        except BaseException:  # killed during the wait: the next caller must not get this command's answer
            self.close()
            raise
        self._used_at = time.monotonic()
        if self._is_dropped:
            self.close()
        return answer

    def close(self) -> None:
        """Close the connection. The next call connects again."""
        with suppress(Exception):
            self._connection.disconnect()
        self._used_at = 0.0

    def drop(self) -> None:
        """Close the connection while a call uses it, which ends the call; or once it has connected."""
        self._is_dropped = True
        self.close()

    def _look(self) -> None:
        try:
            is_stale = self._connection.can_read()
        except (redis.RedisError, OSError):
            is_stale = True
        if is_stale:
            self.close()

    def _check_server(self) -> None:
        """Check that the server can hold a log, if it lets this client run INFO."""
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
                f"Redis evicts keys when its memory is full (maxmemory-policy {policy}), and with them parts of the log. "
                "Set maxmemory-policy noeviction there."
            )
        if facts.get("aof_enabled", "1") == "0":
            _warn_once("Redis writes no append-only file, so a restart loses published events. Set appendonly yes.")
        self._meet(facts.get("run_id", ""))


class Link:
    """One connection, for one command at a time.

    Args:
        pool: Makes connections to the server.
        meet: Called with the id of the server after each connect, before the first command. A new id means another server,
            or a restart of the same one.
        threads: Use the connection where it would hold the loop.
    """

    def __init__(self, pool: redis.ConnectionPool, meet: Meet, threads: Threads) -> None:
        self._pool = pool
        self._meet = meet
        self._threads = threads
        self._wire = Wire(pool, meet)

    def call(self, *command: Any) -> Any:
        """Send a command and wait for its answer. Switches.

        Raises:
            BrokerUnavailableError: The command certainly did not run.
            AnswerLostError: The command might have run.
            NoLogError: A script found no log.
        """
        if not self._threads.are_needed:
            return self._wire.call(*command)
        try:
            return self._threads.run(self._wire.call, *command)
        except Exception:
            raise
        except BaseException:  # killed during the wait, and a thread still uses the wire
            self._wire.drop()
            self._wire = Wire(self._pool, self._meet)
            raise

    def run(self, script: Script, *arguments: Any) -> Any:
        """Run a script. Raises the same errors as `call`."""
        try:
            return self.call("EVALSHA", script.sha, 1, *arguments)
        except redis.exceptions.NoScriptError:
            return self.call("EVAL", script.text, 1, *arguments)

    def close(self) -> None:
        """Close the connection for good: at once, or, if it is just being made, after the call that makes it."""
        self._wire.drop()


class Links:
    """A small pool of connections for short use.

    Args:
        pool: Makes the connections.
        meet, threads: See `Link`.
        seconds: Seconds to wait for a free connection.
    """

    def __init__(self, pool: redis.ConnectionPool, meet: Meet, threads: Threads, seconds: float) -> None:
        self._pool = pool
        self._meet = meet
        self._threads = threads
        self._seconds = seconds
        # The patched semaphore of threading loses a slot for ever if a greenlet is killed while it takes or releases one.
        self._room = (lock if has_loop() else threading).BoundedSemaphore(_MOST)
        self._idle: list[Link] = []  # appending and popping are atomic
        self._is_closed = False

    @contextmanager
    def one(self) -> Iterator[Link]:
        """Lend a free connection to the caller. Switches.

        Raises:
            BrokerUnavailableError: All connections were in use until the timeout.
        """
        if not self._room.acquire(timeout=self._seconds):
            raise BrokerUnavailableError(
                f"All {_MOST} Redis connections of this worker are in use. Nothing was done; try again later."
            )
        try:
            try:
                link = self._idle.pop()
            except IndexError:
                link = Link(self._pool, self._meet, self._threads)
            try:
                yield link
            finally:
                self._idle.append(link)
                if self._is_closed:
                    self._hang_up()
        finally:
            self._room.release()

    def close(self) -> None:
        """Close idle connections now, and each used connection after its use."""
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
    """Tell whether this error, or one of its causes, is an answer that did not come in time."""
    while error is not None and not isinstance(error, redis.exceptions.TimeoutError):
        error = error.__cause__
    return error is not None


def _refused(error: redis.exceptions.ResponseError) -> Exception:
    """Translate an error that the server answered. A code in capitals means that the script did not begin."""
    text = str(error)
    code = text.partition(" ")[0]
    if code == "NOLOG":
        return NoLogError()
    if type(error) is redis.exceptions.ResponseError and (not code.isupper() or code == "WRONGTYPE"):
        return AnswerLostError(text)  # a script failed halfway, and might have written already
    return _unavailable(error)


def _unavailable(error: BaseException) -> BrokerUnavailableError:
    if isinstance(error, BrokerUnavailableError):
        return error
    return BrokerUnavailableError(
        f"Redis failed: {_told(error)}. The change is certainly not stored; try again, and look at Redis if it goes on."
    )


def _told(error: BaseException) -> str:
    """Return the text of an error, without its full stop."""
    return (str(error) or type(error).__name__).rstrip(".")
