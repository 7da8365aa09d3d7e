"""The extension: several apps, checked once, plain errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask, Response
from markupsafe import Markup

from app.flask_simulcast import Event, Position, SettingError, Simulcast
from app.flask_simulcast.errors import (
    ChannelCountError,
    ChannelNameError,
    EventTooLargeError,
    InvalidEventError,
    SingleThreadedServerError,
)
from app.flask_simulcast.testing import SSEEvent, read_sse
from app.flask_simulcast.transports import response

simulcast = Simulcast()


def make_app(**config: object) -> Flask:
    app = Flask(__name__)
    app.config.update({"SIMULCAST_BROKER_URL": "memory://"} | config)
    simulcast.init_app(app)
    return app


@pytest.fixture
def app() -> object:
    app = make_app()
    yield app
    simulcast.close(app)


def chunks(response: Response, count: int = 2) -> list[bytes]:
    """What a new stream has at once: its first words with its snapshot, and its history."""
    body = iter(response.response)
    found = [next(body) for _ in range(count)]
    body.close()  # type: ignore[attr-defined]
    return found  # type: ignore[return-value]


def heard(response: Response, count: int = 2) -> list[SSEEvent]:
    return [event for event in read_sse(chunks(response, count)) if event.type != "connected"]


def test_apps_have_nothing_in_common() -> None:
    one, two = make_app(), make_app(SIMULCAST_MAX_EVENT_BYTES=10)
    with one.app_context():
        simulcast.publish("a", "x" * 100)
        first = simulcast.hub
    with two.app_context():
        with pytest.raises(EventTooLargeError):
            simulcast.publish("a", "x" * 100)
        assert simulcast.hub is not first
        assert simulcast.metrics.value("events_published_total") == 0
    for each in (one, two):
        simulcast.close(each)


def test_set_up_twice_or_not_at_all_says_so() -> None:
    app = make_app()
    with pytest.raises(RuntimeError, match="Call init_app once"):
        simulcast.init_app(app)
    with Flask("bare").app_context(), pytest.raises(RuntimeError, match=r"Call Simulcast\(app\)"):
        simulcast.publish("a", 1)


def test_a_misspelt_setting_is_told_at_the_start_and_does_not_stop_it(caplog: pytest.LogCaptureFixture) -> None:
    make_app(SIMULCAST_HEARTBEAT=5, SIMULCAST_TRUSTED_HOSTS="shop.example")
    misspelt, of_the_service = caplog.records
    assert misspelt.levelname == of_the_service.levelname == "WARNING"
    assert "SIMULCAST_HEARTBEAT is not a setting" in misspelt.getMessage()
    assert misspelt.getMessage().endswith("Did you mean SIMULCAST_HEARTBEAT_SECONDS?")
    assert "SIMULCAST_TRUSTED_HOSTS is not a setting of the extension" in of_the_service.getMessage()
    assert of_the_service.getMessage().endswith("name it in init_app(own_settings=…).")


def test_a_wrong_setting_stops_the_start() -> None:
    for config in (
        {"SIMULCAST_HISTORY_EVENTS": "x"},
        {"SIMULCAST_BROKER_URL": "nats://"},
        {"SIMULCAST_BROKER_URL": "sqlite://"},
    ):
        with pytest.raises(SettingError, match="Use for example"):
            make_app(**config)


def test_publish_answers_the_event_and_many_are_all_or_none(app: Flask) -> None:
    with app.app_context():
        event = simulcast.publish("a", {"n": 1}, type="created", idempotency_key="k")
        assert (event.channel, event.type, event.data) == ("a", "created", '{"n":1}')
        assert simulcast.publish("a", {"n": 1}, type="created", idempotency_key="k").position == event.position
        head = simulcast.hub.broker.head()
        with pytest.raises(ChannelNameError, match="Event 1: "):
            simulcast.publish_many([{"channel": "a", "data": 1}, {"channel": "", "data": 2}])
        assert simulcast.hub.broker.head() == head
        assert [
            e.channel for e in simulcast.publish_many([{"channel": "a", "data": 1}, {"channel": "b", "data": 2}])
        ] == ["a", "b"]
        assert simulcast.publish_many([]) == []
        simulcast.check("a", 1)
        with pytest.raises(InvalidEventError):
            simulcast.check("all", 1)


def test_a_stream_with_a_snapshot_goes_on_after_it(app: Flask) -> None:
    with app.test_request_context():
        with pytest.raises(ChannelCountError):
            simulcast.sse([])
        with pytest.raises(ChannelNameError):
            simulcast.sse("a b")

        def snapshot() -> dict[str, int]:
            simulcast.publish("a", "while it was read")
            return {"rows": 2}

        response = simulcast.sse("a", snapshot=snapshot, snapshot_type="rows")
        body = iter(response.response)
        events = read_sse(next(body) + next(body))
        assert [(event.type, event.data) for event in events[1:]] == [
            ("rows", '{"rows":2}'),
            ("message", '"while it was read"'),
        ]
        body.close()  # type: ignore[attr-defined]


def test_a_snapshot_that_is_a_generator_makes_an_event_of_each_value(app: Flask) -> None:
    with app.test_request_context():
        for values in ([[1, 2], [3]], []):
            response = simulcast.sse("a", snapshot=lambda: iter(values), snapshot_type="rows")  # noqa: B023
            first, *rows = read_sse(chunks(response, 1)[0])
            assert [json.loads(event.data) for event in rows] == values
            *before, last = [first, *rows]
            assert not any(event.id for event in before), "a client that got these alone has no position"
            assert Position.parse(last.id) is not None


def test_a_snapshot_can_know_where_the_stream_behind_it_starts(app: Flask) -> None:
    with app.test_request_context():
        start = simulcast.hub.position
        simulcast.publish("a", "after it")
        body = iter(simulcast.sse("a", start=start, snapshot=lambda: [str(start)]).response)
        _, snapshot, live = read_sse(next(body) + next(body))
        assert (json.loads(snapshot.data), snapshot.id) == ([str(start)], str(start))
        assert live.data == '"after it"'
        body.close()  # type: ignore[attr-defined]


def test_channels_are_listed_with_their_events(app: Flask) -> None:
    with app.app_context():
        for channel in ("chat.a", "chat.b", "chat.b", "news"):
            simulcast.publish(channel, 1)
        found = simulcast.channels(prefix="chat.")
        assert [(one.channel, one.events, one.listeners) for one in found] == [("chat.a", 1, 0), ("chat.b", 2, 0)]
        assert [one.channel for one in simulcast.channels(after="chat.a", limit=1)] == ["chat.b"]


def test_html_reaches_each_stream_and_history_as_it_was_published(app: Flask) -> None:
    """A raw event looks the same live, after a resume, in a snapshot, and through a view."""
    rows = Markup("<ul>\n<li>milk</li>\n</ul>")

    def as_html(event: Event) -> Event:
        return event if event.is_raw else event.with_data(Markup("<i>{}</i>").format(json.loads(event.data)))

    with app.app_context():
        before = str(simulcast.publish("a", 0).position)
        simulcast.publish("a", rows)
        simulcast.publish("a", "<li>", type="item")
    with app.test_request_context(headers={"Last-Event-ID": before}):
        assert [event.data for event in heard(simulcast.sse("a"))] == [rows, '"<li>"']
        assert [event.data for event in heard(simulcast.sse("a", view=as_html))] == [rows, "<i>&lt;li&gt;</i>"]
        lines = [json.loads(line) for line in b"".join(chunks(simulcast.ndjson("a"))).splitlines()]
        assert [(line["data"], line.get("raw")) for line in lines[1:]] == [(rows, True), ("<li>", None)]
        page = simulcast.history("a", after=before)
        assert [(event.is_raw, event.text) for event in page.events] == [(True, rows), (False, '"<li>"')]
    with app.test_request_context():
        assert [event.data for event in heard(simulcast.sse("a", snapshot=lambda: rows), 1)] == [rows]
        simulcast.check("a", "<b>", raw=True)
        with pytest.raises(InvalidEventError):
            simulcast.check("a", {}, raw=True)


def test_one_who_can_resume_needs_no_snapshot(app: Flask) -> None:
    with app.app_context():
        position = str(simulcast.publish("a", 1).position)
    called = []
    with app.test_request_context(headers={"Last-Event-ID": position}):
        body = iter(simulcast.sse("a", snapshot=lambda: called.append(1)).response)
        assert [event.type for event in read_sse(next(body))] == ["connected"]
        body.close()  # type: ignore[attr-defined]
    assert not called
    with app.test_request_context(headers={"Last-Event-ID": "garbage"}):
        body = iter(simulcast.sse("a", snapshot=lambda: called.append(1)).response)
        assert [event.type for event in read_sse(next(body))] == ["gap", "connected", "snapshot"]
        body.close()  # type: ignore[attr-defined]
    assert called


@pytest.mark.parametrize(
    ("present", "on"),
    [(None, ()), (False, ()), (True, ("a", "b")), (["b"], ("b",)), ((), ())],
)
def test_a_view_says_on_which_of_its_channels_a_member_is_present(
    app: Flask, present: Any, on: tuple[str, ...]
) -> None:
    with app.test_request_context():
        body = iter(simulcast.sse(["a", "b"], member="ann", present=present).response)
        next(body)
        assert [listener.present_on for listener in simulcast.hub.listeners] == [on]
        body.close()  # type: ignore[attr-defined]


def test_errors_of_a_client_are_answers_and_not_exceptions(app: Flask) -> None:
    @app.get("/stream/<channel>")
    def stream(channel: str) -> Response:
        return simulcast.stream(channel)

    answer = app.test_client().get("/stream/a b")
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "channel_name")  # type: ignore[index]


def test_a_server_that_answers_one_request_at_a_time_says_what_to_use_instead(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(response, "is_patched", lambda: False)
    alone = {"SERVER_SOFTWARE": "gunicorn"}
    with app.test_request_context(environ_base=alone):
        simulcast.publish("a", 1)
        with pytest.raises(SingleThreadedServerError, match="--threads"):
            simulcast.sse("a")
    with app.test_request_context(environ_base=alone, multithread=True):
        assert simulcast.sse("a").status_code == 200
    with app.test_request_context():
        assert simulcast.sse("a").status_code == 200, "a test client is no server"


def test_leases_are_held_by_one_worker(app: Flask) -> None:
    with app.app_context():
        assert simulcast.hold_lease("job", 5)
        assert simulcast.hold_lease("job", 5)
        assert not simulcast.hub.broker.hold_lease("job", "another", 5)
        simulcast.release_lease("job")
        assert simulcast.hub.broker.hold_lease("job", "another", 5)


def test_metrics_are_exposed_by_name_and_label(app: Flask) -> None:
    with app.app_context():
        simulcast.publish("a", 1)
        simulcast.metrics.count("gaps_total", label="trimmed")
        assert simulcast.metrics.snapshot() == {
            'simulcast_gaps_total{reason="trimmed"}': 1,
            "simulcast_events_published_total": 1,
        }
