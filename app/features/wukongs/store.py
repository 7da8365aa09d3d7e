"""The reports of agents, in the database. Its errors are an `ApiError`, because also consoles and calls of RPC read it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Engine,
    Integer,
    String,
    Text,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import Row
from sqlalchemy.orm import Mapped, mapped_column

from ...extensions import db
from ...web.errors import database_errors

_ROWS_A_TIME = 500
# An agent whose reports are late by one or two intervals is not offline yet.
_SILENT_INTERVALS = 3


class Wukong(db.Model):  # type: ignore[name-defined, misc]
    """The last report of one agent."""

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    data: Mapped[str] = mapped_column(Text)  # JSON
    reported_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    is_offline: Mapped[bool] = mapped_column(Boolean)  # its listeners were sent this state
    interval_ms: Mapped[int] = mapped_column(Integer, server_default="0")  # between its reports; 0 if unknown


def is_stale(reported_ms: Any, interval_ms: Any, stale_ms: int, now_ms: int) -> Any:
    """Tell whether a wukong is offline, from numbers or SQL columns. A clock that was set back makes no wukong offline."""
    silent_ms = now_ms - reported_ms
    return (silent_ms > stale_ms) & (silent_ms > _SILENT_INTERVALS * interval_ms)


@database_errors()
def save(name: str, data: dict[str, Any], now_ms: int, interval_ms: int) -> None:
    """Store a report; it replaces the last one. `take_back` undoes it."""
    values = {"data": json.dumps(data, allow_nan=False), "reported_ms": now_ms}
    values |= {"is_offline": False, "interval_ms": interval_ms}
    statement = _insert()(Wukong).values(name=name, **values)
    db.session.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))
    db.session.commit()


@database_errors()
def find(name: str) -> Row[Any] | None:
    """Return the last report of a wukong, if there is one."""
    with db.engine.connect() as connection:
        return connection.execute(select(Wukong.__table__).where(Wukong.name == name)).one_or_none()


@database_errors()
def count() -> int:
    """Return the number of wukongs."""
    with db.engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(Wukong)).scalar_one())


@database_errors()
def take_back(name: str, before: Row[Any] | None, now_ms: int) -> None:
    """Undo a `save`, unless another report has come since.

    Args:
        before: The row that `find` returned before the `save`.
        now_ms: The time of the report.
    """
    saved = (Wukong.name == name) & (Wukong.reported_ms == now_ms)
    undo = delete(Wukong) if before is None else update(Wukong).values(**before._mapping)
    with db.engine.begin() as connection:
        connection.execute(undo.where(saved))


@database_errors()
def remove(name: str) -> Row[Any] | None:
    """Remove a wukong and return its last report, if there was one. `put_back` undoes it."""
    with db.engine.begin() as connection:
        statement = delete(Wukong).where(Wukong.name == name).returning(*Wukong.__table__.columns)
        return connection.execute(statement).one_or_none()


@database_errors()
def remove_silent(before_ms: int, rows: int) -> list[Row[Any]]:
    """Remove up to ``rows`` wukongs that have not reported since ``before_ms``, and return them."""
    names = select(Wukong.name).where(Wukong.reported_ms < before_ms).limit(rows)
    statement = delete(Wukong).where(Wukong.name.in_(names), Wukong.reported_ms < before_ms)
    with db.engine.begin() as connection:
        return list(connection.execute(statement.returning(*Wukong.__table__.columns)).all())


@database_errors()
def put_back(rows: Sequence[Row[Any]]) -> None:
    """Undo a removal, except of wukongs that have reported since."""
    if rows:
        with db.engine.begin() as connection:
            values = [dict(row._mapping) for row in rows]
            connection.execute(_insert()(Wukong).values(values).on_conflict_do_nothing(index_elements=["name"]))


def every(engine: Engine) -> Iterator[Row[Any]]:
    """Return all wukongs in the order of names, read 500 at a time, the first ones now. A slow reader holds no connection."""
    rows = _page(engine, "")
    return chain(rows, _following(engine, rows))


def _following(engine: Engine, rows: Sequence[Row[Any]]) -> Iterator[Row[Any]]:
    while len(rows) == _ROWS_A_TIME:
        rows = _page(engine, rows[-1].name)
        yield from rows


@database_errors()
def _page(engine: Engine, after: str) -> Sequence[Row[Any]]:
    query = select(Wukong.__table__).where(Wukong.name > after).order_by(Wukong.name).limit(_ROWS_A_TIME)
    with engine.connect() as connection:
        return connection.execute(query).all()


def take_stale(stale_ms: int, now_ms: int) -> list[Row[Any]]:
    """Mark silent wukongs as offline, and return those that were not marked yet, at most 500. After a night without the
    service all wukongs are silent; the rest follow a second later."""
    # By age alone first, because the age has an index.
    is_old = (Wukong.reported_ms < now_ms - stale_ms) & Wukong.is_offline.is_(False)
    stale = is_old & is_stale(Wukong.reported_ms, Wukong.interval_ms, stale_ms, now_ms)
    names = select(Wukong.name).where(stale).limit(_ROWS_A_TIME)
    # The condition again, because a wukong may have reported meanwhile.
    statement = update(Wukong).where(Wukong.name.in_(names), stale).values(is_offline=True)
    with db.engine.begin() as connection:
        return list(connection.execute(statement.returning(*Wukong.__table__.columns)).all())


def untake_stale(rows: Sequence[Row[Any]]) -> None:
    """Undo a `take_stale`, after a publish that failed."""
    names = [row.name for row in rows]
    with db.engine.begin() as connection:
        connection.execute(update(Wukong).where(Wukong.name.in_(names)).values(is_offline=False))


def _insert() -> Any:
    if db.engine.dialect.name != "postgresql":
        return sqlite_insert
    from sqlalchemy.dialects.postgresql import insert  # a service without it starts 50 ms sooner

    return insert
