"""How the sources fare, in the database, so that each worker can tell, and one that takes over knows the last list."""

from __future__ import annotations

import logging
import time
from typing import Any

from flask import current_app
from sqlalchemy import BigInteger, LargeBinary, String, select
from sqlalchemy.orm import Mapped, mapped_column

from ...database import insert
from ...extensions import db
from . import events, schemas

_log = logging.getLogger(__name__)


class UsageSource(db.Model):  # type: ignore[name-defined, misc]
    """The last polls of one source."""

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    digest: Mapped[bytes | None] = mapped_column(LargeBinary(16))  # of its last list
    error: Mapped[str] = mapped_column(String(300))  # of the last poll; empty if there was none
    polls: Mapped[int] = mapped_column(BigInteger)
    failures: Mapped[int] = mapped_column(BigInteger)
    polled_ms: Mapped[int] = mapped_column(BigInteger)
    changed_ms: Mapped[int] = mapped_column(BigInteger)


_TABLE = UsageSource.__table__


def every() -> list[schemas.SourceState]:
    """Return the state of each source that is set, in the order of the setting."""
    with db.engine.connect() as connection:
        rows = {row.name: row for row in connection.execute(select(_TABLE)).all()}
    return [_state(source.name, rows.get(source.name)) for source in current_app.config["SIMULCAST_USAGE_SOURCES"]]


def is_new(name: str, digest: bytes) -> bool:
    """Tell whether a list differs from the last one."""
    row = _find(name)
    return row is None or row.digest != digest


def succeeded(name: str, digest: bytes) -> None:
    """Note a poll that brought a list. A source that had failed is logged."""
    row, now_ms = _find(name), _now_ms()
    if row is not None and row.error:
        _log.info("The source %s answers again.", name)
    is_same = row is not None and row.digest == digest
    changed_ms = row.changed_ms if row is not None and is_same else now_ms
    _save(name, row, failures=0, digest=digest, error="", polled_ms=now_ms, changed_ms=changed_ms)


def failed(name: str, error: str) -> None:
    """Note a poll that brought none; what the source said before is kept. Logged once, until the error is another one."""
    row = _find(name)
    if row is None or row.error != error:
        _log.warning("The source %s can't be read: %s. What it said before is kept; it is asked again.", name, error)
    _save(name, row, failures=1, error=error[:300], polled_ms=_now_ms())


def _find(name: str) -> Any:
    with db.engine.connect() as connection:
        return connection.execute(select(_TABLE).where(UsageSource.name == name)).one_or_none()


def _save(name: str, row: Any, *, failures: int, **values: Any) -> None:
    """Write a poll. Only the holder of the lease writes."""
    values["polls"] = 1 + (0 if row is None else row.polls)
    values["failures"] = failures + (0 if row is None else row.failures)
    values.setdefault("changed_ms", 0 if row is None else row.changed_ms)
    statement = insert()(UsageSource).values(name=name, **values)
    with db.engine.begin() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))


def _state(name: str, row: Any) -> schemas.SourceState:
    if row is None:
        return schemas.SourceState(name, 0, 0, None, None, None)
    times = [events.time_text(at) if at else None for at in (row.polled_ms, row.changed_ms)]
    return schemas.SourceState(name, row.polls, row.failures, row.error or None, *times)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
