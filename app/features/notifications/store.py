"""Notifications in the database, where they outlive the log.

A row without a position is not published yet, or was published by a worker that ended before it could note the position. So
the table is the outbox of its events, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Index, Integer, Row, String, Text, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from ...extensions import db


class Notification(db.Model):  # type: ignore[name-defined, misc]
    """One notification of one user."""

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(128))
    type: Mapped[str] = mapped_column(String(16))
    message: Mapped[str] = mapped_column(Text)
    created_ms: Mapped[int] = mapped_column(BigInteger)
    key: Mapped[str] = mapped_column(String(32), unique=True)  # a second row with it is the same notification
    position: Mapped[str | None] = mapped_column(String(40), unique=True)  # of its event in the log
    read_ms: Mapped[int | None] = mapped_column(BigInteger, index=True)

    __table_args__ = (Index("ix_notification_unread", "user_id", "read_ms"),)


_table = Notification.__table__
_is_unread = Notification.read_ms.is_(None)


def add(user_id: str, type: str, message: str, now_ms: int, key: str) -> tuple[Row[Any], bool]:
    """Store a notification.

    Returns:
        Its row, and whether it is new: else it is the one with the same key.
    """
    values = {"user_id": user_id, "type": type, "message": message, "created_ms": now_ms, "key": key}
    try:
        with db.engine.begin() as connection:
            return connection.execute(insert(_table).values(values).returning(*_table.columns)).one(), True
    except IntegrityError:
        with db.engine.connect() as connection:
            return connection.execute(select(_table).where(Notification.key == key)).one(), False


def has_key(key: str) -> bool:
    """Tell whether there is a notification with this key."""
    with db.engine.connect() as connection:
        return connection.execute(select(Notification.id).where(Notification.key == key)).first() is not None


def take_back(id: int) -> None:
    """Undo an `add` whose event is certainly not stored."""
    with db.engine.begin() as connection:
        connection.execute(delete(_table).where(Notification.id == id, Notification.position.is_(None)))


def set_position(id: int, position: str) -> None:
    """Note the position of a row's event."""
    with db.engine.begin() as connection:
        connection.execute(update(_table).where(Notification.id == id).values(position=position))


def unpublished(user_id: str, limit: int) -> Sequence[Row[Any]]:
    """Return the user's rows without a position, the oldest first."""
    query = select(_table).where(Notification.user_id == user_id, _is_unread, Notification.position.is_(None))
    with db.engine.connect() as connection:
        return connection.execute(query.order_by(Notification.id).limit(limit)).all()


def unread(user_id: str, before: int, limit: int) -> Sequence[Row[Any]]:
    """Return the user's unread rows that have a position, the newest first."""
    query = select(_table).where(Notification.user_id == user_id, _is_unread, Notification.position.is_not(None))
    if before:
        query = query.where(Notification.id < before)
    with db.engine.connect() as connection:
        return connection.execute(query.order_by(Notification.id.desc()).limit(limit)).all()


def count_unread(user_id: str) -> int:
    """Return the number of the user's unread rows."""
    query = select(func.count()).select_from(_table).where(Notification.user_id == user_id, _is_unread)
    with db.engine.connect() as connection:
        return int(connection.execute(query).scalar_one())


def exists(user_id: str, position: str) -> bool:
    """Tell whether the user has a notification with this position."""
    query = select(Notification.id).where(Notification.position == position, Notification.user_id == user_id)
    return db.session.execute(query).first() is not None


def mark_read(user_id: str, position: str, now_ms: int) -> bool:
    """Mark a notification as read, in the session's transaction. Return False if it was read before."""
    mine = (Notification.position == position) & (Notification.user_id == user_id)
    marked = update(Notification).where(mine, _is_unread).values(read_ms=now_ms).returning(Notification.id)
    return db.session.execute(marked).first() is not None


def forget(read_before_ms: int, limit: int) -> None:
    """Delete up to ``limit`` rows that were read before this time."""
    ids = select(Notification.id).where(Notification.read_ms < read_before_ms).limit(limit)
    with db.engine.begin() as connection:
        connection.execute(delete(_table).where(Notification.id.in_(ids)))
