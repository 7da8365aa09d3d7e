"""While the log can't be read, a request for a stream is told when to come back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask, Response

from app.flask_simulcast import BrokerUnavailableError, Simulcast
from app.flask_simulcast.encoding.sse import SSE
from app.flask_simulcast.hub import patience as patience_module
from app.flask_simulcast.hub import pump as pump_module
from app.flask_simulcast.testing import read_sse

simulcast = Simulcast()


def away(*_: object, **__: object) -> None:
    raise BrokerUnavailableError("/var/lib/log.db is away")


@pytest.fixture(autouse=True)
def shorter_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience_module, "_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(pump_module, "_RETRY_SECONDS", 0.01)


EVENT_SOURCE = {"Accept": "text/event-stream", "Origin": "https://page.example"}


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    app = Flask(__name__)
    origins = "https://page.example"
    app.config.update(SIMULCAST_BROKER_URL="memory://", SIMULCAST_ALLOWED_ORIGINS=origins, SIMULCAST_RETRY_MS=1000)
    simulcast.init_app(app)

    @app.get("/stream")
    def stream() -> Response:
        return simulcast.stream("c", replay=5)

    @app.get("/asked-first")
    def asked_first() -> Response:
        simulcast.members("c")
        return simulcast.stream("c")

    @app.post("/publish")
    def publish() -> str:
        simulcast.publish("c", 1)
        return ""

    with app.app_context():
        for name in ("newest", "members", "append"):
            monkeypatch.setattr(simulcast.hub.broker, name, away)
    yield app
    simulcast.close(app)


@pytest.mark.parametrize("path", ["/stream", "/asked-first"])
def test_an_event_source_is_told_to_come_back(app: Flask, path: str) -> None:
    """With any status but 200 it would give up for ever."""
    answer = app.test_client().get(path, headers=EVENT_SOURCE)
    assert (answer.status_code, answer.content_type) == (200, SSE.content_type)
    assert 500 <= int(answer.data.split(b"\n")[0].removeprefix(b"retry: ")) <= 1500
    (closed,) = read_sse(answer.data)
    assert (closed.type, closed.data) == ("closed", '{"reason":"broker_unavailable","reconnect":true}')
    assert answer.headers["Access-Control-Allow-Origin"] == "https://page.example"


@pytest.mark.parametrize("accept", ["*/*", "application/x-ndjson"])
def test_all_others_get_503_and_when_to_come_back(app: Flask, accept: str) -> None:
    answer = app.test_client().get("/stream", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.get_json()["error"]["code"] == "broker_unavailable"
    assert b"/var/lib" not in answer.data


def test_what_an_event_source_never_asks_for_is_an_error(app: Flask) -> None:
    assert app.test_client().post("/publish", headers=EVENT_SOURCE).status_code == 503
