"""Migrations: the tables of the service's database, brought up to date when a worker starts.

Several workers may start at once, on one machine or on several. They take turns, and each turn is one transaction: a worker
that is killed in the middle leaves the database as it was.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import OperationalError

from .. import database
from ..cli import is_command
from ..extensions import db
from ..flask_simulcast import SettingError

_FOLDER = Path(__file__).parent
#: A turn takes milliseconds. Only a migration of a large table, or a process that was stopped in its turn, takes longer.
_WAIT_SECONDS = 60
_LOCK_KEY = 0x51AC_4578  # of PostgreSQL's advisory lock: any number that no other program uses here

_log = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    """Apply the migrations that the database lacks. A command at a prompt applies none; it can be ``flask db upgrade``.

    Raises:
        SettingError: The database can't be reached, or its lock did not become free.
    """
    if is_command():
        from flask_migrate import Migrate  # the import takes 100 ms

        Migrate(app, db, directory=str(_FOLDER))
        return
    with app.app_context():
        try:
            _catch_up()
        except OperationalError as error:
            raise SettingError(
                f"The database of SIMULCAST_DATABASE_URL can't be used: {error.orig}. Check that it runs, and that the URL has "
                "the right host, name, user and password."
            ) from None


@contextmanager
def turn() -> Iterator[Connection]:
    """Wait until no other process migrates, then give a connection within a transaction. Switches.

    Raises:
        OperationalError, SettingError: The turn did not come within 60 s.
    """
    file = database.file_of(db.engine.url)
    with _locked(file), db.engine.begin() as connection:
        if db.engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # Python's driver begins none before it creates a table
        elif db.engine.dialect.name == "postgresql":
            connection.execute(text(f"SET LOCAL lock_timeout = '{_WAIT_SECONDS}s'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        yield connection


def _catch_up() -> None:
    revisions = sorted(file.name.partition("_")[0] for file in (_FOLDER / "versions").glob("[0-9]*.py"))
    with turn() as connection:
        current = _revision_of(connection)
    if current == revisions[-1]:
        return
    if current is not None and current not in revisions:
        _log.warning(
            "The database has the revision %s of a newer version. That works, because a migration only adds; to stay with this "
            "version, see docs/upgrade.md.",
            current,
        )
        return
    from alembic import command, config  # the import takes 100 ms

    settings = config.Config()
    settings.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    command.upgrade(settings, "head")  # takes a turn itself: env.py


def _revision_of(connection: Connection) -> str | None:
    """Return the revision of the database; None if it has no migration yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


@contextmanager
def _locked(file: str | None) -> Iterator[None]:
    """Hold a lock beside an SQLite file: two processes that set up a new one at once refuse each other. Nothing for None."""
    if file is None:
        yield
        return
    if not os.path.exists(file):
        raise SettingError(f"There is no database {file}. Start the service once, or run this command in its folder.")
    descriptor = os.open(f"{file}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, file)
        yield
    finally:
        os.close(descriptor)  # and the lock with it


def _lock(descriptor: int, file: str) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise SettingError(
                    f"Another process has held {file}.lock for {_WAIT_SECONDS} s. It migrates, or it was stopped: end it "
                    f"(fuser {file}.lock shows it), and start again."
                ) from None
            time.sleep(0.05)
