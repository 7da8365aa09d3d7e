"""The statuses of wukongs, as their readers see them: ``{"name", "kind", "state", "time", "data"}``."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from flask import current_app
from sqlalchemy import Row

from ...channels import poses_as
from ...extensions import db, simulcast
from ...flask_simulcast import BrokerUnavailableError, Event
from ...flask_simulcast.errors import BrokerError
from ...host import HOST
from ...web.errors import ApiError
from . import machine, store

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
STATUS = "status"
#: A wukong that is silent for a month is removed: its machine was probably switched off for good.
_FORGET_MS = 30 * 86_400_000
# A batch of events that even the smallest log (1 MiB) can take: each event may have 64 KiB.
_ROWS_A_BATCH = 10


def is_name(name: str) -> bool:
    """Tell whether a name is valid: 1-64 characters of ``A-Z a-z 0-9 . _ -``."""
    return _NAME.fullmatch(name) is not None


def channel_of(name: str) -> str:
    """Return the channel of a wukong's status."""
    return "wukong:" + machine.canonical(name)


def own(event: Event) -> Event | None:
    """Drop a broadcast, or an event for a user, that is called `status`: it is not a wukong's. Pure."""
    return None if poses_as(event, {STATUS}) else event


def is_built_in(name: str) -> bool:
    """Tell whether this machine itself reports for a wukong, even if it does not exist now."""
    return machine.is_reserved(machine.canonical(name))


def no_such(name: str) -> ApiError:
    """Return the error for a wukong that does not exist."""
    return ApiError(404, "no_such_wukong", f"There is no wukong {name[:64]!a}. GET /api/v1/wukongs lists them.")


def find(name: str) -> dict[str, Any] | None:
    """Return the current status of a wukong; None if there is no such wukong."""
    if not is_name(name):
        return None
    name = machine.canonical(name)
    if is_built_in(name):
        return _built_in(name) if name == HOST or name in machine.worker_names() else None
    row = store.find(name)
    return None if row is None else _agent(row, _stale_ms())


def find_or_refuse(name: str) -> dict[str, Any]:
    """Return the current status of a wukong.

    Raises:
        ApiError: 404: there is no such wukong.
    """
    status = find(name)
    if status is None:
        raise no_such(name)
    return status


def every() -> Iterator[dict[str, Any]]:
    """Yield the statuses of all wukongs: this machine, its workers, then agents. Needs an app context now, not while it is
    read."""
    return _every(store.every(db.engine), _stale_ms())


def report(name: str, data: dict[str, Any], interval_seconds: float = 0) -> dict[str, Any]:
    """Store an agent's report, and publish it to its listeners. May switch.

    Args:
        interval_seconds: Seconds until its next report; 0 if unknown. The wukong is offline after three of these intervals
            and ``SIMULCAST_WUKONG_STALE_SECONDS`` without a report.

    Raises:
        ApiError: 503 ``too_many_wukongs``.
        BrokerUnavailableError: The report is certainly not stored.
        PublishUncertainError: The report is stored, but its listeners perhaps do not know it.
    """
    now_ms = _now_ms()
    status = _status(name, "agent", "online", now_ms, data)
    simulcast.check(channel_of(name), status, type=STATUS)
    before = store.find(name)
    if before is None:
        _check_room()
    # Stored before it is published: a listener that connects in between gets a snapshot with it, and a position before it.
    store.save(name, data, now_ms, round(interval_seconds * 1000))
    try:
        simulcast.publish(channel_of(name), status, type=STATUS)
    except BrokerUnavailableError:
        store.take_back(name, before, now_ms)
        raise
    return status


def remove(name: str) -> bool:
    """Remove a wukong that has an agent, and publish a last status with the state ``removed``. May switch.

    Returns:
        False if there is no such wukong.

    Raises:
        BrokerUnavailableError: The wukong is not removed.
        PublishUncertainError: The wukong is removed, but its listeners perhaps do not know it.
    """
    row = store.remove(name)
    if row is None:
        return False
    _tell_removed([row])
    return True


def sample() -> None:
    """Publish the status of this machine, its workers, and agents that have just gone offline. Remove wukongs that have been
    silent for a month. May switch."""
    built_in = map(_built_in, [HOST, *machine.worker_names()])
    _publish(status for status in built_in if status is not None)
    _tell_silent()
    _forget()


def _check_room() -> None:
    """Check that one more wukong may report. Only new names are checked, so several at once can exceed the limit by a few.

    Raises:
        ApiError: 503 ``too_many_wukongs``.
    """
    _forget()
    most = current_app.config["SIMULCAST_MAX_WUKONGS"]
    if store.count() >= most:
        raise ApiError(
            503, "too_many_wukongs", f"{most} wukongs report already. Remove some, or raise SIMULCAST_MAX_WUKONGS."
        )


def _tell_silent() -> None:
    """Publish which wukongs have gone offline, in batches. What could not be published is published the next time."""
    stale_ms = _stale_ms()
    rows = store.take_stale(stale_ms, _now_ms())
    for start in range(0, len(rows), _ROWS_A_BATCH):
        try:
            _publish(_agent(row, stale_ms) for row in rows[start : start + _ROWS_A_BATCH])
        except BrokerError:
            store.untake_stale(rows[start:])
            raise


def _forget() -> None:
    """Remove a batch of the wukongs that have been silent for a month."""
    _tell_removed(store.remove_silent(_now_ms() - _FORGET_MS, _ROWS_A_BATCH))


def _tell_removed(rows: Sequence[Row[Any]]) -> None:
    """Publish a last status for each removed wukong. If that is certainly not published, put the wukongs back."""
    statuses = [_status(row.name, "agent", "removed", _now_ms(), json.loads(row.data)) for row in rows]
    try:
        _publish(statuses)
    except BrokerUnavailableError:
        store.put_back(rows)
        raise


def _publish(statuses: Iterable[dict[str, Any]]) -> None:
    simulcast.publish_many(
        [{"channel": channel_of(status["name"]), "type": STATUS, "data": status} for status in statuses]
    )


def _every(rows: Iterable[Row[Any]], stale_ms: int) -> Iterator[dict[str, Any]]:
    for name in [HOST, *machine.worker_names()]:
        status = _built_in(name)
        if status is not None:
            yield status
    for row in rows:
        yield _agent(row, stale_ms)


def _built_in(name: str) -> dict[str, Any] | None:
    """Return the status of this machine or one of its workers; None for a worker that has ended."""
    data = machine.figures(name)
    kind = "host" if name == HOST else "worker"
    return None if data is None else _status(name, kind, "online", _now_ms(), data)


def _agent(row: Any, stale_ms: int) -> dict[str, Any]:
    state = "offline" if store.is_stale(row.reported_ms, row.interval_ms, stale_ms, _now_ms()) else "online"
    return _status(row.name, "agent", state, row.reported_ms, json.loads(row.data))


def _status(name: str, kind: str, state: str, time_ms: int, data: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "kind": kind, "state": state, "time": time_ms, "data": data}


def _stale_ms() -> int:
    return round(float(current_app.config["SIMULCAST_WUKONG_STALE_SECONDS"]) * 1000)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
