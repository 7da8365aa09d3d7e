"""Whose fault it is: what a view hands in is the app's, a 500 with a traceback; what a client sent is the client's, a 4xx."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.json.provider import DefaultJSONProvider, JSONProvider
from flask.testing import FlaskClient
from markupsafe import Markup

from app.flask_simulcast import Grant, Simulcast, client_input
from app.flask_simulcast.data import encode_data
from app.flask_simulcast.testing import read_sse

simulcast = Simulcast()
WHEN = datetime.datetime(2026, 11, 28, 12, 0, tzinfo=datetime.UTC)


@dataclasses.dataclass
class Point:
    x: int
    y: int


@pytest.fixture
def app() -> Iterator[Flask]:
    app = Flask(__name__)
    app.config["SIMULCAST_BROKER_URL"] = "memory://"
    simulcast.init_app(app)
    yield app
    simulcast.close(app)


def answer(app: Flask, view: Callable[[], Any]) -> tuple[int, Any]:
    """Status and JSON of a view's answer."""
    app.add_url_rule("/view", view_func=lambda: view() or "", endpoint="view")
    client: FlaskClient = app.test_client()
    response = client.get("/view")
    response.close()
    return response.status_code, response.get_json(silent=True)


APP_FAULTS: dict[str, Callable[[], object]] = {
    "publish, data": lambda: simulcast.publish("a", object()),
    "publish, channel": lambda: simulcast.publish("a b", 1),
    "publish, reserved channel": lambda: simulcast.publish("user:ann", 1),
    "publish, type": lambda: simulcast.publish("a", 1, type="x\ny"),
    "publish, a type of EventSource": lambda: simulcast.publish("a", 1, type="error"),
    "publish, key": lambda: simulcast.publish("a", 1, idempotency_key=""),
    "publish, size": lambda: simulcast.publish("a", "x" * 100_000),
    "publish_many, not a mapping": lambda: simulcast.publish_many([("a", 1)]),  # type: ignore[list-item]
    "publish_many, data": lambda: simulcast.publish_many([{"channel": "a", "data": {1, 2}}]),
    "publish_many, no data": lambda: simulcast.publish_many([{"channel": "a"}]),
    "publish_many, a misspelt field": lambda: simulcast.publish_many([{"channel": "a", "data": 1, "tpye": "x"}]),
    "publish_to_channels, none": lambda: simulcast.publish_to_channels([], 1),
    "publish_to_channels, name": lambda: simulcast.publish_to_channels(["a", ""], 1),
    "broadcast, data": lambda: simulcast.broadcast(object()),
    "publish_to_user, user": lambda: simulcast.publish_to_user("", 1),
    "check, data": lambda: simulcast.check("a", object()),
    "revoke, user": lambda: simulcast.revoke(user="a\nb"),
    "grant, user": lambda: Grant(user="a\nb"),
    "sse, meta": lambda: simulcast.sse("a", meta={"x": object()}),
    "sse, snapshot": lambda: simulcast.sse("a", snapshot=object),
    "sse, snapshot_type": lambda: simulcast.sse("a", snapshot=lambda: 1, snapshot_type="gap"),
}


@pytest.mark.parametrize("call", APP_FAULTS.values(), ids=APP_FAULTS)
def test_what_a_view_hands_in_is_the_app_s_fault(
    app: Flask, caplog: pytest.LogCaptureFixture, call: Callable[[], object]
) -> None:
    """newcomer 5: it was a 400 to the view's own client, and no line in the log."""
    status, _ = answer(app, call)
    assert status == 500
    assert any(record.exc_info for record in caplog.records), "a traceback"


CLIENT_FAULTS: dict[str, tuple[Callable[[], object], int, str]] = {
    "channel": (lambda: simulcast.publish("a b", 1), 400, "channel_name"),
    "type": (lambda: simulcast.publish("a", 1, type="open"), 400, "event_type"),
    "key": (lambda: simulcast.publish("a", 1, idempotency_key=""), 400, "idempotency_key"),
    "size": (lambda: simulcast.publish("a", "x" * 100_000), 413, "event_too_large"),
    "channels": (lambda: simulcast.publish_to_channels([], 1), 400, "channel_count"),
    "user": (lambda: simulcast.publish_to_user("", 1), 400, "channel_name"),
}


@pytest.mark.parametrize(("call", "status", "code"), CLIENT_FAULTS.values(), ids=CLIENT_FAULTS)
def test_what_is_said_to_come_from_the_client_is_the_client_s_fault(
    app: Flask, call: Callable[[], object], status: int, code: str
) -> None:
    def view() -> None:
        with client_input():
            call()

    answered, body = answer(app, view)
    assert (answered, body["error"]["code"]) == (status, code)


LISTENING: dict[str, Callable[[], object]] = {
    "sse": lambda: simulcast.sse("a b"),
    "sse, none": lambda: simulcast.sse([]),
    "ndjson": lambda: simulcast.ndjson(["a", "b b"]),
    "stream": lambda: simulcast.stream(""),
    "history": lambda: simulcast.history("a b"),
    "members": lambda: simulcast.members("a b"),
    "require_subscribe": lambda: simulcast.require_subscribe(["a b"]),
}


@pytest.mark.parametrize("call", LISTENING.values(), ids=LISTENING)
def test_a_channel_that_is_listened_to_comes_from_a_url(app: Flask, call: Callable[[], object]) -> None:
    status, body = answer(app, call)
    assert (status, body["error"]["code"]) in ((400, "channel_name"), (400, "channel_count"))


def test_a_wrong_channel_of_a_view_stands_in_the_log_once(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    app.add_url_rule("/typo", view_func=lambda: simulcast.sse("my orders"), endpoint=f"typo {uuid.uuid4()}")
    with caplog.at_level(logging.WARNING, "flask_simulcast"):
        for _ in range(3):
            assert app.test_client().get("/typo").status_code == 400
    assert sum("my orders" in record.getMessage() for record in caplog.records) == 1


# What Flask can write


VALUES = {
    "datetime": WHEN,
    "date": WHEN.date(),
    "decimal": decimal.Decimal("9.90"),
    "uuid": uuid.UUID(int=7),
    "dataclass": Point(1, 2),
    "html": Markup("<b>hi</b>"),
    "deep": {"rows": [{"at": WHEN}]},
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_what_jsonify_can_write_can_be_published(app: Flask, value: object) -> None:
    """newcomer 5."""
    with app.app_context():
        event = simulcast.publish("a", value)
        assert json.loads(event.data) == json.loads(app.json.dumps(value))
        assert simulcast.publish_many([{"channel": "a", "data": value}])[0].data == event.data


def test_bytes_are_base64_as_before(app: Flask) -> None:
    with app.app_context():
        assert simulcast.publish("a", b"hi").data == encode_data(b"hi") == '{"data":"aGk=","encoding":"base64"}'


def test_an_app_s_own_default_is_asked(app: Flask) -> None:
    class Own(DefaultJSONProvider):
        @staticmethod
        def default(value: Any) -> Any:
            return "own" if isinstance(value, complex) else DefaultJSONProvider.default(value)

    app.json = Own(app)
    with app.app_context():
        assert simulcast.publish("a", [1j, WHEN.date()]).data.startswith('["own",')


def test_a_provider_without_a_default_is_asked_then_flask_s(app: Flask) -> None:
    class Other(JSONProvider):
        def dumps(self, obj: Any, **kwargs: Any) -> str:
            return json.dumps(obj, default={WHEN: WHEN.isoformat(), 1j: "i"}.__getitem__)

        def loads(self, s: str | bytes, **kwargs: Any) -> Any:
            return json.loads(s)

    class Strict(Other):
        def dumps(self, obj: Any, **kwargs: Any) -> str:
            return json.dumps(obj)

    app.json = Other(app)
    with app.app_context():
        assert json.loads(simulcast.publish("a", [WHEN, 1j]).data) == [WHEN.isoformat(), "i"]
    app.json = Strict(app)
    with app.app_context():
        assert simulcast.publish("a", uuid.UUID(int=7)).data == f'"{uuid.UUID(int=7)}"'


def test_a_snapshot_and_rows_are_written_so_too(app: Flask) -> None:
    def view() -> Any:
        with simulcast.writer() as stream:
            stream.write_event({"at": WHEN})
            stream.write_event_with_name("point", Point(1, 2))
        return stream.response

    app.add_url_rule("/written", view_func=view, endpoint="written")
    app.add_url_rule("/rows", view_func=lambda: simulcast.json_rows("rows", [{"at": WHEN}]), endpoint="rows")
    assert app.test_client().get("/rows").get_json() == {"rows": [{"at": app.json.loads(app.json.dumps(WHEN))}]}
    first, second = read_sse(app.test_client().get("/written").get_data())
    assert "2026" in first.data
    assert json.loads(second.data) == {"x": 1, "y": 2}
