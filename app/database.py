"""The service's own database: its place, and a file that only this user can read."""

from __future__ import annotations

import os

from flask import Flask
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from .cli import is_command
from .extensions import db
from .flask_simulcast import SettingError

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
    file = _file_of(url, app.instance_path)
    if file is not None:
        # With an absolute path Flask-SQLAlchemy does not make the instance folder.
        app.config["SQLALCHEMY_DATABASE_URI"] = url.set(database=file)
        if not is_command():
            _make_private(file)
    try:
        db.init_app(app)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise SettingError(f"SIMULCAST_DATABASE_URL={url.drivername}://… can't be used: {error}. {_EXAMPLE}") from None


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


def _file_of(url: URL, folder: str) -> str | None:
    """Return the path of an SQLite database, resolved from the instance folder; None for another database or one in memory."""
    if not url.drivername.startswith("sqlite") or url.database in (None, "", ":memory:") or "uri" in url.query:
        return None
    return os.path.join(folder, str(url.database))


def _make_private(file: str) -> None:
    try:
        os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)
        os.close(os.open(file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise SettingError(
            f"The database {file} can't be opened: {error.strerror}. Check the folder of SIMULCAST_DATABASE_URL and its "
            "permissions, or name another one: sqlite:////srv/data/service.db."
        ) from error
