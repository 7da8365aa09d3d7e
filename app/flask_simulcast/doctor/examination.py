"""The examination: what is on this machine, and then, with a URL, the stream as a client gets it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from ..brokers import connect
from ..brokers.base import Broker
from ..errors import BrokerError
from ..settings import Settings
from ..url import sqlite_path
from . import answers, living, passing, redis_log, server, sqlite_log, websocket
from .beside import Beside
from .errors import BadInputError, SilentError
from .faults import fault
from .finding import Finding, note, sound, unseen
from .visit import Visit

# A log with a fault of these is not opened: that would tell the same again.
_LOG_CHECKS = frozenset({"log", "redis", "redis memory"})


def examine(
    settings: Settings, arguments: Sequence[str] | None, visit: Visit | None = None, websocket_url: str = ""
) -> Iterator[Finding]:
    """Look at gunicorn's configuration and at the log, and at a stream as its client does. Yields each finding at once.

    Close the iterator if you leave it early: that closes the streams and the log.

    Args:
        settings: The app's.
        arguments: Words behind ``gunicorn`` in its command; None for what it finds in this folder.
        visit: The stream, if a URL was given. It gets the log. All of its streams are closed at the end.
        websocket_url: URL of a WebSocket; empty to ask the stream's own URL for one, which must be refused.

    Raises:
        BadInputError: gunicorn does not accept its configuration; or there is no stream at the URL, or none for this client.
    """
    named: set[str] = set()
    for finding in _examined(settings, arguments, visit, websocket_url):
        if finding.fault not in named:  # the configuration and a worker can tell the same
            yield finding
        named |= {finding.fault} - {""}


def _examined(
    settings: Settings, arguments: Sequence[str] | None, visit: Visit | None, websocket_url: str
) -> Iterator[Finding]:
    broker = None
    try:
        if visit is not None:
            visit.begin()  # before the log is looked at: a new server makes its log at the first stream
        yield from _of_gunicorn(settings, arguments)
        yield from (found := _of_log(settings))
        if not settings.has_memory_log and not any(one.check in _LOG_CHECKS and one.fault for one in found):
            broker, more = _opened(settings)
            yield from more
        if visit is not None:
            visit.beside, more = _beside(broker)
            yield from more
            yield from _of_url(visit, websocket_url)
    finally:
        if visit is not None:
            visit.close()
        if broker is not None:
            broker.close()


def _of_gunicorn(settings: Settings, arguments: Sequence[str] | None) -> list[Finding]:
    facts = server.read_facts(arguments)
    return [server.not_read()] if facts is None else server.check(facts, settings)


def _of_log(settings: Settings) -> list[Finding]:
    path = sqlite_path(settings.broker_url)
    if path is not None:
        return sqlite_log.check(path, settings)
    if settings.has_memory_log:
        return [sound("log", "The log is in memory: it ends with the process, and no other process reads it.")]
    return redis_log.check(settings)


def _opened(settings: Settings) -> tuple[Broker | None, list[Finding]]:
    """Open the log as a worker does. None if there is no log yet, or it can't be opened."""
    path = sqlite_path(settings.broker_url)
    if path is not None and not os.path.exists(path):
        return None, []
    try:
        broker = connect(settings, create=False)
        return broker, [] if path is None else [sqlite_log.clock(broker)]
    except BrokerError as error:
        return None, [fault("log_broken", f"The log can't be opened: {error}", (path or "Redis",))]


def _beside(broker: Broker | None) -> tuple[Beside | None, list[Finding]]:
    """Make the doctor known to the workers of the log. None if it can't be."""
    try:
        return None if broker is None else Beside(broker), []
    except BrokerError as error:
        return None, [fault("log_broken", f"The log takes nothing: {error}", ("SIMULCAST_BROKER_URL",))]


def _of_url(visit: Visit, websocket_url: str) -> Iterator[Finding]:
    if not visit.is_away:
        visit.look_into_mirror()
    yield (reached := answers.status(visit))
    yield from worker_findings(visit)
    if reached.fault:
        return
    yield answers.buffering(visit)
    yield answers.http_version(visit)
    for check in (passing.resume, passing.query_string, passing.cookies, passing.host, passing.client_address):
        yield _tried(check, visit)
    if websocket_url:
        yield websocket.frames(visit.target, websocket_url)
    else:
        yield _tried(websocket.upgrade, visit)
    if visit.answer is None:
        return
    for look in (answers.compression, answers.content_type, answers.clock):
        yield look(visit, visit.answer)
    if visit.connected is None:
        return
    for check in (answers.caching, living.order, living.leaving, living.patience):
        yield _tried(check, visit)


def worker_findings(visit: Visit) -> Iterator[Finding]:
    """Look at what a worker told of itself; nothing if none did."""
    seen = visit.reflection
    if seen is None:
        return
    if seen["is_patched"]:
        yield sound("worker", f"Process {seen['pid']} ({seen['server']}) is patched by gevent.")
    else:
        yield note("worker", f"Process {seen['pid']} ({seen['server']}) is not patched: each stream takes a thread.")
    if seen["is_patched"] and seen["has_hooks"] is False:
        names = ("post_worker_init",)
        yield fault(
            "hooks", "The worker runs without our hooks: a stop cuts its streams without `closed`.", names, names
        )
    yield server.descriptors_of_worker(seen["descriptors"], seen["max_listeners"])


def _tried(check: Callable[[Visit], Finding], visit: Visit) -> Finding:
    """Run a check. A server that stops answering in the middle is no fault of what the check looks at."""
    try:
        return check(visit)
    except SilentError:
        return unseen(check.__name__.replace("_", " "), "The server did not answer in time.")
    except BadInputError as error:
        return unseen(check.__name__.replace("_", " "), str(error))
