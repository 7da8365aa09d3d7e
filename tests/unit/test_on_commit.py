"""A rolled-back transaction never notifies."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from app.flask_simulcast import BrokerUnavailableError, Event, EventTypeError, Simulcast
from app.flask_simulcast.event import Position

simulcast = Simulcast()


@pytest.fixture
def app() -> Iterator[Flask]:
    app = Flask(__name__)
    app.config.update(SIMULCAST_BROKER_URL="memory://", SQLALCHEMY_DATABASE_URI="sqlite://")
    simulcast.init_app(app)
    db = SQLAlchemy(app)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()
    simulcast.close(app)


@pytest.fixture
def session(app: Flask) -> Any:
    return app.extensions["sqlalchemy"].session


def published() -> list[str]:
    broker = simulcast.hub.broker
    events: list[Event] = broker.page(("c",), Position(0, 0), broker.head(), 1 << 20).events
    return [event.data for event in events]


def test_it_goes_out_with_the_commit_and_not_before(session: Any) -> None:
    session.execute(text("select 1"))
    simulcast.publish_on_commit("c", 1)
    simulcast.publish_on_commit("c", 2)
    assert published() == []
    session.commit()
    assert published() == ["1", "2"]
    session.commit()
    assert published() == ["1", "2"]


def test_a_rollback_forgets_it(session: Any) -> None:
    simulcast.publish_on_commit("c", 1)
    session.rollback()
    session.execute(text("select 1"))
    session.commit()
    assert published() == []


def test_a_session_that_is_closed_or_removed_forgets_it(session: Any) -> None:
    own = session()
    simulcast.publish_on_commit("c", 1)
    own.close()
    own.execute(text("select 1"))
    own.commit()
    simulcast.publish_on_commit("c", 2)
    session.remove()
    session.execute(text("select 1"))
    session.commit()
    assert published() == []


def test_a_savepoint_that_is_rolled_back_forgets_its_own(session: Any) -> None:
    simulcast.publish_on_commit("c", "outer")
    with session.begin_nested():
        simulcast.publish_on_commit("c", "released")
        inner = session.begin_nested()
        simulcast.publish_on_commit("c", "rolled back")
        inner.rollback()
    assert published() == []
    session.commit()
    assert published() == ['"outer"', '"released"']


def test_a_released_savepoint_goes_with_what_holds_it(session: Any) -> None:
    with session.begin_nested():
        simulcast.publish_on_commit("c", "released")
    session.rollback()
    session.execute(text("select 1"))
    session.commit()
    assert published() == []


def test_any_sqlalchemy_session_will_do(app: Flask) -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with Session(engine) as own, own.begin():
        own.execute(text("select 1"))
        simulcast.publish_on_commit("c", 1, session=own)
        assert published() == []
    assert published() == ["1"]
    with pytest.raises(ZeroDivisionError), Session(engine) as own, own.begin():
        simulcast.publish_on_commit("c", 2, session=own)
        raise ZeroDivisionError
    assert published() == ["1"]
    engine.dispose()


def test_what_can_not_be_published_is_refused_before_the_commit(session: Any) -> None:
    with pytest.raises(EventTypeError):
        simulcast.publish_on_commit("c", 1, type="two\nlines")


def test_a_log_that_is_away_does_not_undo_the_commit_and_is_told(
    session: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(drafts: object) -> None:
        raise BrokerUnavailableError("away")

    monkeypatch.setattr(simulcast.hub.broker, "append", away)
    session.execute(text("create table t (n integer)"))
    simulcast.publish_on_commit("c", 1)
    with caplog.at_level(logging.ERROR):
        session.commit()
    assert "1 events of a committed transaction were not published" in caplog.text
    assert simulcast.metrics.value("publish_failed_total", "broker_unavailable") == 1
    assert session.execute(text("select count(*) from t")).scalar() == 0
