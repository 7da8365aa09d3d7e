"""docs/upgrade.md: a log that is taken back to schema 2 keeps its events, and is upgraded again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from app.flask_simulcast import Publisher
from app.flask_simulcast.brokers.sqlite.schema import SCHEMA_VERSION
from tests.docs.page import Page
from tests.docs.reader import Reader

PAGE = Page("docs/upgrade.md")
BACK = PAGE.take("Rollback", "sh")


def version_of(file: Path) -> int:
    with closing(sqlite3.connect(file)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


def test_log_that_was_taken_back_keeps_its_events_and_is_upgraded_again(tmp_path: Path) -> None:
    file = tmp_path / "instance" / "simulcast.db"
    url = f"sqlite:///{file}"
    with Publisher.from_url(url, create=True) as publisher:
        first = publisher.publish("orders", 1, idempotency_key="order-1")
    assert version_of(file) == SCHEMA_VERSION == 4
    Reader(tmp_path).run(BACK)
    assert version_of(file) == 2
    with Publisher.from_url(url) as publisher:
        assert publisher.publish("orders", 1, idempotency_key="order-1").position == first.position
        publisher.publish("orders", 2)
        assert [event.data for event in publisher.hub.history(("orders",), None, 10).events] == ["1", "2"]
    assert version_of(file) == SCHEMA_VERSION
