"""What agents have reported, in the database."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from flask import Flask
from sqlalchemy import BigInteger, Boolean, Engine, String, Text, event, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import Row
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.schema import CreateTable

from ..extensions import db

_ROWS_A_TIME = 500


class Wukong(db.Model):  # type: ignore[name-defined, misc]
    """The last report of one agent."""

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    data: Mapped[str] = mapped_column(Text)  # JSON
    reported_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    is_offline: Mapped[bool] = mapped_column(Boolean)  # its listeners have been told


def init_app(app: Flask) -> None:
    """Make the table unless it is there. Several workers may do so at once."""
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            event.listen(db.engine, "connect", _tune_sqlite)
        with db.engine.begin() as connection:
            connection.execute(CreateTable(Wukong.__table__, if_not_exists=True))


def save(name: str, data: dict[str, Any], now_ms: int) -> None:
    """Keep a report; it replaces the last one."""
    insert = postgresql_insert if db.engine.dialect.name == "postgresql" else sqlite_insert
    values = {"data": json.dumps(data, allow_nan=False), "reported_ms": now_ms, "is_offline": False}
    statement = insert(Wukong).values(name=name, **values)
    db.session.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))
    db.session.commit()


def find(name: str) -> Row[Any] | None:
    """The last report, if there is one."""
    with db.engine.connect() as connection:
        return connection.execute(select(Wukong.__table__).where(Wukong.name == name)).one_or_none()


def every(engine: Engine) -> Iterator[Row[Any]]:
    """All of them by name, a few hundred at a time; no connection is kept while the reader is slow."""
    last = ""
    while True:
        with engine.connect() as connection:
            query = select(Wukong.__table__).where(Wukong.name > last).order_by(Wukong.name).limit(_ROWS_A_TIME)
            rows = connection.execute(query).all()
        yield from rows
        if len(rows) < _ROWS_A_TIME:
            return
        last = rows[-1].name


def take_stale(stale_seconds: float) -> list[str]:
    """Mark those that have been silent for too long as offline; answer those that were not marked yet."""
    before = time.time_ns() // 1_000_000 - round(stale_seconds * 1000)
    statement = (
        update(Wukong)
        .where(Wukong.reported_ms < before, Wukong.is_offline.is_(False))
        .values(is_offline=True)
        .returning(Wukong.name)
    )
    names = list(db.session.execute(statement).scalars())
    db.session.commit()
    return names


def _tune_sqlite(connection: Any, _: Any) -> None:
    """Readers and a writer at the same time, and a commit that does not wait for the disk."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
