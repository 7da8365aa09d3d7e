"""A rolled-back transaction never notifies."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from markupsafe import Markup
from sqlalchemy import create_engine, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool

from app.flask_simulcast import BrokerUnavailableError, Event, Simulcast
from app.flask_simulcast.data import text_of
from app.flask_simulcast.errors import EventDataError, EventTypeError
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


def test_text_goes_out_as_it_is_if_it_is_markup_or_raw(session: Any) -> None:
    simulcast.publish_on_commit("c", Markup("<b>1"))
    simulcast.publish_on_commit("c", lambda: Markup("<b>2"))
    simulcast.publish_on_commit("c", lambda: "3", raw=True)
    session.commit()
    assert [text_of(data) for data in published()] == ["<b>1", "<b>2", "3"]


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


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(default="new")

    def as_dict(self) -> dict[str, Any]:
        return {"id": self.id, "state": self.state}


@pytest.fixture
def orders(app: Flask) -> Iterator[Session]:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with Session(engine) as own:
        yield own
    engine.dispose()


def test_a_new_row_has_its_key_and_its_defaults_when_its_function_is_called(orders: Session) -> None:
    """newcomer 2: the guide's own example sent ``id: null``."""
    order = Order()
    orders.add(order)
    simulcast.publish_on_commit("c", order.as_dict, session=orders)
    assert published() == []
    orders.commit()
    assert published() == ['{"id":1,"state":"new"}']


def test_a_function_in_a_savepoint_sees_the_row_as_it_is_committed(orders: Session) -> None:
    order = Order()
    with orders.begin_nested():
        orders.add(order)
        simulcast.publish_on_commit("c", order.as_dict, session=orders)
    order.state = "paid"
    orders.commit()
    assert published() == ['{"id":1,"state":"paid"}']


def test_a_function_that_raises_stops_the_commit(orders: Session) -> None:
    orders.add(Order())
    simulcast.publish_on_commit("c", lambda: {"data": object()}, session=orders)
    with pytest.raises(EventDataError):
        orders.commit()
    orders.rollback()
    assert orders.query(Order).count() == 0
    assert published() == []


def test_data_of_a_row_that_is_not_flushed_is_warned_of(orders: Session, caplog: pytest.LogCaptureFixture) -> None:
    order = Order()
    orders.add(order)
    simulcast.publish_on_commit("c", order.as_dict(), session=orders)
    assert "Order" in caplog.text and "Pass a function" in caplog.text
    orders.flush()
    caplog.clear()
    simulcast.publish_on_commit("c", order.as_dict(), session=orders)
    assert caplog.text == ""


def test_without_flask_sqlalchemy_it_says_what_to_do() -> None:
    """newcomer 24: it was a KeyError."""
    bare = Flask("bare")
    bare.config["SIMULCAST_BROKER_URL"] = "memory://"
    simulcast.init_app(bare)
    with bare.app_context(), pytest.raises(RuntimeError, match="session="):
        simulcast.publish_on_commit("c", 1)
    simulcast.close(bare)


def test_a_key_of_another_event_costs_its_own_event_alone(session: Any, caplog: pytest.LogCaptureFixture) -> None:
    """sec F4: the rows of the others are committed, so their events go out."""
    simulcast.publish("c", 0, idempotency_key="k")
    session.execute(text("select 1"))
    for data, key in ((1, "j"), (2, "k"), (3, None)):
        simulcast.publish_on_commit("c", data, idempotency_key=key)
    with caplog.at_level(logging.ERROR):
        session.commit()
    assert published() == ["0", "1", "3"]
    assert "1 events of a committed transaction were not published: The idempotency key" in caplog.text
