"""The tables of the log's file, and how a file gets them."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress

from ...errors import BrokerUnavailableError
from ...event import ALL, Position

SCHEMA_VERSION = 4

_LOG = """
CREATE TABLE meta (name TEXT PRIMARY KEY, key INTEGER NOT NULL, tag INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE events (key INTEGER PRIMARY KEY, tag INTEGER NOT NULL, channel TEXT, type TEXT, data TEXT);
CREATE INDEX events_of_channel ON events (channel) WHERE channel IS NOT NULL;
CREATE TABLE marks (channel TEXT PRIMARY KEY, key INTEGER NOT NULL, tag INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE known (key INTEGER PRIMARY KEY, tag INTEGER NOT NULL, idempotency_key TEXT NOT NULL UNIQUE);
CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID;
"""

# Version 2. An index of a table without rowid ends with its primary key, so places of a user come in the order of ids.
# `places.until` is NULL while the listener is connected; `listening.member` is empty where the listener is not present.
_REGISTER = """
CREATE TABLE workers (worker TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE places (listener TEXT PRIMARY KEY, user TEXT NOT NULL, member TEXT NOT NULL, channels TEXT NOT NULL,
    present_on TEXT NOT NULL, meta TEXT NOT NULL, token_id TEXT NOT NULL, encoding TEXT NOT NULL,
    since_ms INTEGER NOT NULL, worker TEXT NOT NULL, until REAL) WITHOUT ROWID;
CREATE INDEX places_of_worker ON places (worker);
CREATE INDEX places_of_user ON places (user) WHERE user <> '';
CREATE INDEX places_ending ON places (until) WHERE until IS NOT NULL;
CREATE TABLE listening (channel TEXT NOT NULL, listener TEXT NOT NULL, member TEXT NOT NULL,
    PRIMARY KEY (channel, listener)) WITHOUT ROWID;
CREATE INDEX presences ON listening (channel, member) WHERE member <> '';
CREATE TABLE kept (name TEXT PRIMARY KEY, value TEXT NOT NULL, since REAL NOT NULL, until REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX kept_since ON kept (since);
CREATE INDEX kept_until ON kept (until);
CREATE TABLE revoked (name TEXT PRIMARY KEY, before_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX revoked_until ON revoked (until_ms);
"""

# Version 3. The fingerprint of each event that has an idempotency key. It is a separate table, because a worker of an older
# version that has the file open goes on writing rows of `known` in the old shape, without a fingerprint.
_FINGERPRINTS = "CREATE TABLE fingerprints (key INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL);"

# Version 4.
_RUNS = """
CREATE TABLE runs (id TEXT PRIMARY KEY, user TEXT NOT NULL, meta TEXT NOT NULL, worker TEXT NOT NULL, until REAL NOT NULL,
    started_ms INTEGER NOT NULL, begin_key INTEGER NOT NULL, begin_tag INTEGER NOT NULL, events INTEGER NOT NULL,
    ending TEXT NOT NULL, end_key INTEGER, end_tag INTEGER) WITHOUT ROWID;
CREATE INDEX runs_of_user ON runs (user) WHERE user <> '';
CREATE INDEX runs_open ON runs (worker) WHERE ending = '';
CREATE INDEX runs_ended ON runs (end_key) WHERE end_key IS NOT NULL;
"""

# A file of version 1 has one common mark for all channels. It is copied to every mark that might have been folded into it.
_UPGRADE = f"""
INSERT INTO meta SELECT 'forgotten_personal', key, tag FROM meta WHERE name = 'forgotten';
INSERT OR IGNORE INTO marks SELECT '{ALL}', key, tag FROM meta WHERE name = 'forgotten' AND key > 0;
"""


def create(path: str, birth: Position) -> None:
    """Make the tables, or those that an older version did not have. The caller must hold the write lock.

    Raises:
        BrokerUnavailableError: The file has a schema that this version does not know, or its file system can't hold a log.
    """
    with suppress(FileExistsError):  # sqlite3 would make it readable by all users
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        is_empty = not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if version not in (1, 2, 3, SCHEMA_VERSION) and not (version == 0 and is_empty):
            raise BrokerUnavailableError(
                f"{path} is not a log of this version (schema {version}, expected {SCHEMA_VERSION}). "
                "Move the file away, or point SIMULCAST_BROKER_URL at another one."
            )
        if version == 0:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # `shrink` needs it
        use_wal(db, path)
        if version == 0:
            births = (
                f"INSERT INTO events VALUES ({birth.key}, {birth.tag}, NULL, NULL, NULL);"
                f"INSERT INTO meta VALUES ('birth', {birth.key}, {birth.tag}), ('floor', {birth.key}, {birth.tag}),"
                " ('forgotten', 0, 0), ('forgotten_personal', 0, 0);"
            )
            _run(db, _LOG + _REGISTER + _FINGERPRINTS + _RUNS + births)
        elif version == 1:
            _run(db, _REGISTER + _FINGERPRINTS + _RUNS + _UPGRADE)
        elif version == 2:
            _run(db, _FINGERPRINTS + _RUNS)
        elif version == 3:
            _run(db, _RUNS)


def use_wal(db: sqlite3.Connection, path: str) -> None:
    """Switch the file to a write-ahead log, so that readers can read during a write.

    Raises:
        BrokerUnavailableError: The file system can't share memory between processes, which a write-ahead log needs.
    """
    (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise BrokerUnavailableError(
            f"{path} can't have a write-ahead log (journal mode {mode}): its file system does not let processes share "
            "memory. Point SIMULCAST_BROKER_URL at a folder on a local disk."
        )


def _run(db: sqlite3.Connection, statements: str) -> None:
    db.executescript(f"BEGIN IMMEDIATE; {statements} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
