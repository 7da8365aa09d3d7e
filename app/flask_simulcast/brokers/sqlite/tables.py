"""Run SQL on one connection. One thread at a time may use it; all rows are fetched at once; nothing switches."""

from __future__ import annotations

import sqlite3

from ...event import Position


class Tables:
    """A base for groups of statements on one connection. Their placeholders are ``?`` or have a name: Python 3.12.0 to
    3.12.3 takes a numbered one (``?1``) for a name, and warns of a future error (python/cpython#117995).

    Args:
        db: The connection of a `Store`.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def _one(self, sql: str, *arguments: object, **named: object) -> tuple:  # type: ignore[type-arg]
        return self._db.execute(sql, named or arguments).fetchone()  # type: ignore[no-any-return]

    def _all(self, sql: str, *arguments: object) -> list[tuple]:  # type: ignore[type-arg]
        return self._db.execute(sql, arguments).fetchall()

    def _meta(self, name: str) -> Position:
        return Position(*self._one("SELECT key, tag FROM meta WHERE name = ?", name))

    def _set_meta(self, name: str, position: Position) -> None:
        self._db.execute("UPDATE meta SET key = ?, tag = ? WHERE name = ?", (*position, name))
