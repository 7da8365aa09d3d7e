"""The tools for tests of apps: what they say where a test is wrong, and that they leave nothing behind. Not patched."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from httpx_sse import EventSource
from markupsafe import Markup

from app.flask_simulcast import Simulcast
from app.flask_simulcast.errors import ForbiddenError
from app.flask_simulcast.testing import Recorder, check_resume, listen, memory_log, resume

simulcast = Simulcast()
Take = Callable[[object], None]


def make_app(url: str = "memory://") -> Flask:
    app = Flask(__name__)
    app.config["SIMULCAST_BROKER_URL"] = url
    simulcast.init_app(app)

    @app.get("/stream")
    def stream() -> Response:
        return simulcast.stream("a")

    @app.get("/refused")
    def refused() -> Response:
        raise ForbiddenError("Ask Ann.")

    @app.get("/text")
    def text() -> str:
        return "text"

    @app.get("/own")
    def own() -> Response:
        return Response(ticks(), mimetype="text/event-stream")

    return app


def ticks() -> Iterator[str]:
    """A stream that never ends by itself, and is not one of ours."""
    for n in itertools.count():
        yield f"data: {n}\n\n"
        time.sleep(0.01)


@pytest.fixture
def app() -> Iterator[Flask]:
    app = make_app()
    with app.app_context():
        yield app
    simulcast.close(app)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


# Listening


def test_a_stream_is_read_beside_the_test(client: FlaskClient) -> None:
    with listen(client, "/stream") as stream:
        simulcast.publish("a", Markup("<b>"), type="html")
        simulcast.publish("a", 1)
        assert stream.next().data == "<b>"
        assert stream.next().json == 1
    assert [event.type for event in stream.events] == ["connected", "html", "message"]
    assert stream.response.headers["Cache-Control"] == "no-cache, no-transform"


def test_lines_of_json_are_read_as_well(client: FlaskClient) -> None:
    with listen(client, "/stream", headers={"Accept": "application/x-ndjson"}) as stream:
        event = simulcast.publish("a", {"é": [1, "\n"]}, type="x")
        simulcast.publish("a", Markup("<b>"))
        first, second = stream.next(), stream.next()
    assert (first.type, first.json, first.id) == ("x", {"é": [1, "\n"]}, str(event.position))
    assert second.data == "<b>"


def test_what_did_not_come_is_told_with_what_came(client: FlaskClient) -> None:
    with listen(client, "/stream", seconds=0.2) as stream:
        other = simulcast.publish("b", 1)
        simulcast.publish("a", 1, type="x")
        with pytest.raises(
            AssertionError, match=r"0\.2 s: an event of created did not come. These came: connected, x\."
        ):
            stream.next("created")
        with pytest.raises(AssertionError, match=f"the id {other.position} did not come"):
            stream.until(other)


def test_a_stream_that_ends_says_so_at_once(app: Flask, client: FlaskClient) -> None:
    with listen(client, "/stream", seconds=30) as stream:
        simulcast.close(app)
        assert stream.next("closed").json["reason"] == "draining"
        with pytest.raises(AssertionError, match="The stream has ended"):
            stream.next()


@pytest.mark.parametrize(
    ("path", "told"),
    [("/refused", "403 FORBIDDEN with application/json, not a stream. .*Ask Ann"), ("/text", "200 OK with text/html")],
)
def test_an_answer_that_is_no_stream_is_told(client: FlaskClient, path: str, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        with listen(client, path):
            pass


def test_a_stream_of_ones_own_is_read_and_left(client: FlaskClient) -> None:
    with listen(client, "/own") as stream:
        assert [stream.next().data for _ in range(3)] == ["0", "1", "2"]


def test_an_open_stream_leaves_no_thread_and_no_listener(client: FlaskClient) -> None:
    with listen(client, "/stream"), listen(client, "/stream"):
        assert len(simulcast.hub.listeners) == 2
    with pytest.raises(ZeroDivisionError), listen(client, "/stream"):
        raise ZeroDivisionError
    assert len(simulcast.hub.listeners) == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "listen"]


# Recording


def test_what_every_app_publishes_is_recorded_until_the_end_of_the_block(app: Flask) -> None:
    other = make_app()
    with Recorder() as published:
        simulcast.publish("a", Markup("<b>"), type="html")
        with other.app_context():
            simulcast.publish_many([{"channel": "a", "data": 2}, {"channel": "b", "data": 3}])
    simulcast.publish("a", 4)
    simulcast.close(other)
    assert [(event.type, event.data, event.is_raw) for event in published["a"]] == [
        ("html", "<b>", True),
        ("message", 2, False),
    ]
    assert [event.data for event in published["b"]] == [3]
    assert published["c"] == []


def test_what_a_thread_publishes_is_waited_for(app: Flask) -> None:
    def job() -> None:
        with app.app_context():
            for n in range(3):
                simulcast.publish("a", n, type="odd" if n % 2 else "even")

    with Recorder() as published:
        thread = threading.Thread(target=job)
        thread.start()
        assert [event.data for event in published.wait("a", 2, type="even")] == [0, 2]
        thread.join()
        with pytest.raises(
            AssertionError, match=r"1 of 2 events of type odd .* on a within 0 s\. Published were: even on a, odd on a"
        ):
            published.wait("a", 2, type="odd", seconds=0)


# A log for each test


def test_each_block_has_a_log_of_its_own_in_memory(tmp_path: Path) -> None:
    app = make_app(f"sqlite:///{tmp_path}/log.db")
    with app.app_context():
        for _ in range(2):
            with memory_log():
                simulcast.publish("a", 1)
                assert len(simulcast.history("a").events) == 1
        assert not list(tmp_path.iterdir())
        simulcast.publish("a", 2)  # outside of it, the app has its own log again
        assert [event.data for event in simulcast.history("a").events] == ["2"]
    simulcast.close(app)


# A client of one's own


def run_client(url: str, take: Take, *, keeps_id: bool = True, keeps_id_early: bool = False, ends: int = 1) -> None:
    """A client that reads by a parser that others wrote, and ends at the first 204; and what is wrong with it."""
    last_id = ""
    with httpx.Client(trust_env=False, timeout=10) as client:
        while True:
            try:
                with client.stream("GET", url, headers={"Last-Event-ID": last_id if keeps_id else ""}) as response:
                    ends -= response.status_code == 204
                    if not ends:
                        return
                    if keeps_id_early:
                        last_id = read_line_by_line(response, take, last_id)
                        continue
                    for event in EventSource(response).iter_sse() if response.status_code == 200 else ():
                        last_id = event.id or last_id
                        if event.event == "message":
                            take(event.data)
            except httpx.TransportError:
                if not is_there(url):
                    return
            time.sleep(0.01)


def is_there(url: str) -> bool:
    """Whether the server still answers: a client of a test must end."""
    try:
        httpx.head(url, trust_env=False, timeout=10)
    except httpx.TransportError:
        return False
    return True


def read_line_by_line(response: httpx.Response, take: Take, last_id: str) -> str:
    """The mistake that is made most: the id counts before its event is whole."""
    type = ""
    data = None
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if name == "id":
            last_id = value
        elif name == "event":
            type = value
        elif name == "data":
            data = value
        elif not line:
            if data is not None and not type:
                take(data)
            type, data = "", None
    return last_id


def test_a_client_that_resumes_passes() -> None:
    check_resume(run_client)
    assert not [thread for thread in threading.enumerate() if thread.name == "client"]


def test_a_client_that_parses_the_data_itself_passes() -> None:
    check_resume(lambda url, take: run_client(url, lambda data: take(json.loads(str(data)))))


@pytest.mark.parametrize(
    ("client", "told"),
    [
        (lambda url, take: run_client(url, take, keeps_id=False), "took event 1 where event 4 was due"),
        (lambda url, take: run_client(url, take, keeps_id_early=True), "took event 5 where event 4 was due"),
        (lambda url, take: None, "took 0 of 20 events"),
        (lambda url, take: run_client(url, lambda data: take(f"{data}!")), "took data that no event has"),
        (lambda url, take: run_client(url, take, ends=3), "came back 3 times after the end"),
    ],
    ids=["no id", "id too early", "does not listen", "other data", "comes back after the end"],
)
def test_a_client_that_does_not_is_told_why(client: resume.Client, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        check_resume(client)


def test_an_error_of_the_client_is_raised() -> None:
    def client(url: str, take: Take) -> None:
        run_client(url, take)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        check_resume(client)
