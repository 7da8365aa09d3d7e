"""The records, in the database. Each read takes a connection for one page, so that a slow reader holds none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Engine, Index, Integer, LargeBinary, String, delete, func, literal_column, select
from sqlalchemy.engine import Row
from sqlalchemy.orm import Mapped, mapped_column

from ...database import insert
from ...extensions import db

_ROWS_A_TIME = 500
_HOUR_MS: Any = literal_column("3600000")  # PostgreSQL takes two parameters in GROUP BY for different ones
# A summary reads at most this many slices, one statement each: a single statement over millions of records would hold the
# worker up for seconds.
_SLICES = 100


class UsageRecord(db.Model):  # type: ignore[name-defined, misc]
    """The usage of one call of a model."""

    __tablename__ = "usage"
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    credits_used: Mapped[int] = mapped_column(BigInteger)
    model: Mapped[str] = mapped_column(String(64))
    created_ms: Mapped[int] = mapped_column(BigInteger)
    origin: Mapped[bytes | None] = mapped_column(LargeBinary(16), unique=True)  # see New
    user_id: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (
        Index("ix_usage_created_ms", "created_ms", "id"),
        Index("ix_usage_model", "model", "created_ms", "id"),
        {"sqlite_autoincrement": True},  # no id is given twice
    )


_TABLE = UsageRecord.__table__


class New(NamedTuple):
    """A record that is not stored yet.

    Attributes:
        origin: Names the request or the source that it is from, so that it is stored once. None for a record that nothing
            names.
        user_id: The user for whom this service made an answer.
    """

    credits_used: int
    model: str
    created_ms: int
    origin: bytes | None = None
    user_id: str | None = None


class Total(NamedTuple):
    """The sum of a group of records."""

    key: str | int
    credits_used: int
    records: int


def add(records: Sequence[New], *, all_or_none: bool = False) -> list[Row[Any]]:
    """Store the records that are new, and return them, in this order.

    Args:
        all_or_none: Store none if one of them is stored already.
    """
    added: list[Row[Any]] = []
    with db.engine.begin() as connection:
        for page in _pages_of(records):
            values = [record._asdict() for record in page]
            statement = insert()(UsageRecord).values(values).on_conflict_do_nothing(index_elements=["origin"])
            added += connection.execute(statement.returning(*_TABLE.columns)).all()
        if all_or_none and len(added) < len(records):
            connection.rollback()
            return []
    return sorted(added, key=lambda row: int(row.id))


def of_origins(origins: Sequence[bytes]) -> list[Row[Any]]:
    """Return the records that have these origins, in the order in which they were stored."""
    found: list[Row[Any]] = []
    with db.engine.connect() as connection:
        for page in _pages_of(origins):  # PostgreSQL takes 65 535 parameters
            found += connection.execute(select(_TABLE).where(UsageRecord.origin.in_(page))).all()
    return sorted(found, key=lambda row: int(row.id))


def remove(ids: Sequence[int]) -> None:
    """Undo an `add`."""
    with db.engine.begin() as connection:
        for page in _pages_of(ids):
            connection.execute(delete(UsageRecord).where(UsageRecord.id.in_(page)))


def remove_before(before_ms: int) -> int:
    """Remove up to 500 records that are older. Returns their number."""
    ids = select(UsageRecord.id).where(UsageRecord.created_ms < before_ms).limit(_ROWS_A_TIME)
    with db.engine.begin() as connection:
        return connection.execute(delete(UsageRecord).where(UsageRecord.id.in_(ids))).rowcount


def newest(since_ms: int, count: int, *, model: str = "", before: int | None = None) -> list[Row[Any]]:
    """Return the newest records of this time, the oldest first.

    Args:
        model: Only records of this one; empty for all.
        before: Only records that stand before the one with this id. There are none if that was removed: the oldest go first.
    """
    wanted = select(_TABLE).where(UsageRecord.created_ms >= since_ms)
    if model:
        wanted = wanted.where(UsageRecord.model == model)
    if before is not None:
        of_it = select(UsageRecord.created_ms).where(UsageRecord.id == before).scalar_subquery()
        is_earlier = (UsageRecord.created_ms < of_it) | (UsageRecord.id < before)
        wanted = wanted.where(UsageRecord.created_ms <= of_it, is_earlier)
    with db.engine.connect() as connection:
        latest = wanted.order_by(UsageRecord.created_ms.desc(), UsageRecord.id.desc()).limit(count)
        return list(connection.execute(latest).all())[::-1]


def every(engine: Engine, since_ms: int, model: str) -> Iterator[Row[Any]]:
    """Return the records of this time, the oldest first, read 500 at a time, the first ones now.

    Args:
        model: Only records of this one; empty for all.
    """
    wanted = select(_TABLE).order_by(UsageRecord.created_ms, UsageRecord.id).limit(_ROWS_A_TIME)
    if model:
        wanted = wanted.where(UsageRecord.model == model)

    def read(created_ms: int, id: int) -> Sequence[Row[Any]]:
        with engine.connect() as connection:
            return connection.execute(wanted.where(_is_behind((created_ms, id)))).all()

    rows = read(since_ms, 0)
    return chain(rows, _following(read, rows))


def _following(read: Callable[[int, int], Sequence[Row[Any]]], rows: Sequence[Row[Any]]) -> Iterator[Row[Any]]:
    while len(rows) == _ROWS_A_TIME:
        rows = read(rows[-1].created_ms, rows[-1].id)
        yield from rows


def totals(since_ms: int, until_ms: int, by: str) -> Iterator[Total]:
    """Yield sums of parts of this time; a group may be in several parts. The caller lets others in between.

    Args:
        by: ``model``, or ``hour``, whose key is the number of hours since 1970.
    """
    key = UsageRecord.model if by == "model" else UsageRecord.created_ms // _HOUR_MS
    wanted = select(key, func.sum(UsageRecord.credits_used), func.count()).group_by(key)
    step = -(-(until_ms - since_ms) // _SLICES)
    for start in range(since_ms, until_ms, step):
        within = UsageRecord.created_ms.between(start, min(start + step, until_ms) - 1)
        with db.engine.connect() as connection:
            rows = connection.execute(wanted.where(within)).all()
        for name, credits, count in rows:  # PostgreSQL's sums, and its hours, are decimals
            yield Total(name if by == "model" else int(name), int(credits), count)


def _is_behind(after: tuple[int, int]) -> Any:
    """Tell which records follow in the order of time and id. The first condition is what the index finds."""
    created_ms, id = after
    is_later = (UsageRecord.created_ms > created_ms) | (UsageRecord.id > id)
    return (UsageRecord.created_ms >= created_ms) & is_later


def _pages_of(items: Sequence[Any]) -> Iterator[list[Any]]:
    rest = iter(items)
    while page := list(islice(rest, _ROWS_A_TIME)):
        yield page
