"""The service's own database: its place, how SQLite is used, and a file that only this user can read."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask
from sqlalchemy import URL, event, make_url
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from .cli import is_command
from .extensions import db
from .flask_simulcast import SettingError

_WAL_LIMIT_BYTES = 4 << 20
_EXAMPLE = (
    "Use for example SIMULCAST_DATABASE_URL=sqlite:///service.db or postgresql+psycopg://user:password@host/name."
)


def init_app(app: Flask) -> None:
    """Set up the database. An SQLite file is created here, because SQLite would let every user read it. A command at a prompt
    creates none.

    Raises:
        SettingError: The URL can't be used, or its file can't be opened. Shows no password.
    """
    url = _read(app.config["SQLALCHEMY_DATABASE_URI"])
    # The text of an error would have what a statement stores, and errors are logged.
    options = app.config.setdefault("SQLALCHEMY_ENGINE_OPTIONS", {})
    options.setdefault("hide_parameters", True)
    file = file_of(url)
    if file is not None:
        file = os.path.join(app.instance_path, file)
        # With an absolute path Flask-SQLAlchemy does not make the instance folder.
        app.config["SQLALCHEMY_DATABASE_URI"] = url.set(database=file)
        if not is_command():
            _make_private(file)
    elif not url.drivername.startswith("sqlite"):
        # A connection that a restart of the database has closed is replaced.
        options.setdefault("pool_pre_ping", True)
    try:
        db.init_app(app)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise SettingError(f"SIMULCAST_DATABASE_URL={url.drivername}://… can't be used: {error}. {_EXAMPLE}") from None
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            event.listen(db.engine, "connect", _tune_sqlite)


def file_of(url: URL) -> str | None:
    """Return the path of an SQLite database; None for another database or one in memory."""
    if not url.drivername.startswith("sqlite") or url.database in (None, "", ":memory:") or "uri" in url.query:
        return None
    return url.database


def insert() -> Any:
    """Return the INSERT of this database, which knows ON CONFLICT."""
    if db.engine.dialect.name != "postgresql":
        return sqlite_insert
    from sqlalchemy.dialects.postgresql import insert as postgres_insert  # a service without it starts 50 ms sooner

    return postgres_insert


def _read(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # their text may quote the URL, and so a password
        url = None
    if url is None or "@" in (url.host or ""):  # then the driver would show a part of the password
        raise SettingError(
            "SIMULCAST_DATABASE_URL (not shown: it might contain a password) can't be read; in a password write %40 for @, "
            f"%2F for /, %3A for :. {_EXAMPLE}"
        )
    return url


def _make_private(file: str) -> None:
    try:
        os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)
        os.close(os.open(file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise SettingError(
            f"The database {file} can't be opened: {error.strerror}. Check the folder of SIMULCAST_DATABASE_URL and its "
            "permissions, or name another one: sqlite:////srv/data/service.db."
        ) from error


def _tune_sqlite(connection: Any, _: Any) -> None:
    """Set up a connection: readers beside a writer, commits that do not wait for the disk, and a write-ahead log that shrinks
    again after a long read."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
