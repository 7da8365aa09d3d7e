"""The writer: what stands on the wire, and that what can't be written is refused.

Names of tests that say `…_of_the_go_library` show a row of the table in docs/writer.md.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

import gevent
import gevent.event
import gevent.queue
import pytest
from flask import Response
from markupsafe import Markup

from app.flask_simulcast.errors import (
    BrokerUnavailableError,
    EventDataError,
    EventTypeError,
    InvalidEventError,
    NoRequestError,
    NotHTTPError,
    SimulcastError,
    StreamingNotSupportedError,
    WriterError,
)
from app.flask_simulcast.metrics import Metrics
from app.flask_simulcast.settings import Settings
from app.flask_simulcast.testing import read_sse
from app.flask_simulcast.transports.writer.writer import Writer, WriterEvent
from tests.unit.transports.writer.desk import Desk, written


def refused(act: Callable[[Writer], object], error: type[Exception]) -> None:
    """Check that a call raises this error, and sends nothing."""

    def view(desk: Desk) -> Response:
        with desk.writer() as stream:
            with pytest.raises(error):
                act(stream)
        return stream.response

    answer = Desk(view).ask()
    assert (answer.writes, answer.body) == ([], b"")


# The table of docs/writer.md


def test_write_event_of_the_go_library() -> None:
    assert written(lambda w: w.write_event({"content": "hello"})) == [b'data: {"content":"hello"}\n\n']
    assert written(lambda w: w.write_event({"count": 42})) == [b'data: {"count":42}\n\n']
    assert written(lambda w: w.write_event("hello")) == [b'data: "hello"\n\n']


def test_markup_is_written_as_it_is_with_any_name_and_id() -> None:
    html = Markup("<p>\r\nhi")
    assert written(lambda w: w.write_event(html)) == [b"data: <p>\ndata: hi\n\n"]
    assert written(lambda w: w.write_full_event(WriterEvent(html, "part", "7"))) == [
        b"id: 7\nevent: part\ndata: <p>\ndata: hi\n\n"
    ]


def test_write_event_with_name_of_the_go_library() -> None:
    assert written(lambda w: w.write_event_with_name("message", {"text": "hi"})) == [
        b'event: message\ndata: {"text":"hi"}\n\n'
    ]
    assert written(lambda w: w.write_event_with_name("update", 1)) == [b"event: update\ndata: 1\n\n"]


def test_write_event_with_id_of_the_go_library() -> None:
    assert written(lambda w: w.write_event_with_id("evt-001", {"text": "hi"})) == [
        b'id: evt-001\ndata: {"text":"hi"}\n\n'
    ]


def test_write_full_event_of_the_go_library() -> None:
    event = WriterEvent(id="evt-001", name="update", data={"value": 100})
    assert written(lambda w: w.write_full_event(event)) == [b'id: evt-001\nevent: update\ndata: {"value":100}\n\n']
    assert written(lambda w: w.write_full_event(WriterEvent(1, "message", "7"))) == [
        b"id: 7\nevent: message\ndata: 1\n\n"
    ]
    assert written(lambda w: w.write_full_event(WriterEvent(None))) == [b"data: null\n\n"]


def test_write_raw_event_of_the_go_library() -> None:
    assert written(lambda w: w.write_raw_event("raw text without quotes")) == [b"data: raw text without quotes\n\n"]
    assert written(lambda w: w.write_raw_event("two\nlines")) == [b"data: two\ndata: lines\n\n"]


def test_write_done_of_the_go_library() -> None:
    assert written(lambda w: w.write_done()) == [b"data: [DONE]\n\n"]


def test_write_error_of_the_go_library() -> None:
    expected = [b'event: error\ndata: {"error":"something went wrong"}\n\n']
    assert written(lambda w: w.write_error(RuntimeError("something went wrong"))) == expected
    assert written(lambda w: w.write_error("something went wrong")) == expected
    assert written(lambda w: w.write_error(TimeoutError())) == [b'event: error\ndata: {"error":"TimeoutError"}\n\n']


def test_write_comment_of_the_go_library() -> None:
    assert written(lambda w: w.write_comment("heartbeat")) == [b": heartbeat\n\n"]


def test_set_retry_of_the_go_library() -> None:
    assert written(lambda w: w.set_retry(3000)) == [b"retry: 3000\n\n"]


def test_start_heartbeat_of_the_go_library() -> None:
    beats: gevent.queue.Queue[bytes] = gevent.queue.Queue()  # gevent 25 has no subscript at run time

    def view(desk: Desk) -> Response:
        with desk.writer() as stream:
            stop = stream.start_heartbeat(0.01)
            beats.get(timeout=5)
            beats.get(timeout=5)
            stop()
            stop()
            stream.write_event("after")
        return stream.response

    writes = Desk(view).ask(send=beats.put).writes
    assert writes[-1] == b'data: "after"\n\n', "it was stopped"
    assert set(writes[:-1]) == {b":\n"}
    assert len(writes) > 2


def test_stream_of_the_go_library() -> None:
    items = iter(["a", "b", "c"])
    expected = [b'data: {"item":"a"}\n\n', b'data: {"item":"b"}\n\n', b'data: {"item":"c"}\n\n']
    assert written(lambda w: w.stream(lambda: {"item": next(items)})) == expected
    assert written(lambda w: w.stream({"item": item} for item in "abc")) == expected


@pytest.mark.parametrize("make", [gevent.queue.Queue, queue.Queue, gevent.queue.SimpleQueue])
def test_stream_func_of_the_go_library(make: Callable[[], Any]) -> None:
    items, errors = make(), make()

    def produce() -> None:
        for item in [1, None, "x"]:
            items.put(item)
            gevent.sleep(0)
        items.put(StopIteration)

    gevent.spawn(produce)
    assert written(lambda w: w.stream_from(items, errors)) == [b"data: 1\n\n", b"data: null\n\n", b'data: "x"\n\n']
    items.put(1)
    items.put(StopIteration)
    assert written(lambda w: w.stream_from(items)) == [b"data: 1\n\n"]


def test_new_writer_of_the_go_library_and_its_four_errors() -> None:
    with pytest.raises(NoRequestError):
        Writer.of_request(Settings(broker_url="memory://"), Metrics())

    def view(desk: Desk) -> Response:
        with desk.writer() as stream:
            stream.write_event(1)
        return stream.response

    for headers in ({"HTTP_SEC_WEBSOCKET_KEY": "x"}, {"HTTP_UPGRADE": "WebSocket"}):
        answer = Desk(view).ask(**headers)
        assert (answer.status, answer.data) == ("400 BAD REQUEST", b"not_http")
    without = Desk(view, has_gate=False)
    without.app.testing = True
    without.app.register_error_handler(SimulcastError, lambda error: (type(error).__name__, error.status))
    assert without.ask().data == StreamingNotSupportedError.__name__.encode()
    assert issubclass(NotHTTPError, WriterError)


# Injection


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b", "\ud800", 7, None])
def test_a_name_or_id_can_t_carry_another_field(bad: Any) -> None:
    refused(lambda w: w.write_event_with_name(bad, 1), EventTypeError)
    refused(lambda w: w.write_event_with_id(bad, 1), InvalidEventError)
    refused(lambda w: w.write_full_event(WriterEvent(1, bad)), ValueError)


@pytest.mark.parametrize("text", ["x\ndata: y\n\nevent: z", "x\r\nid: 1\r\n\r\n", "\rretry: 1\r\r", "\u2028\x85\x0b"])
def test_raw_text_and_comments_stay_what_they_are(text: str) -> None:
    (event,) = read_sse(written(lambda w: w.write_raw_event(text))[0])
    assert (event.type, event.id) == ("message", "")
    assert event.data == text.replace("\r\n", "\n").replace("\r", "\n")
    (comment,) = written(lambda w: w.write_comment(text))
    assert all(line.startswith(b": ") for line in comment[:-2].split(b"\n"))
    assert b"\r" not in comment
    assert not list(read_sse(comment))


def test_what_can_t_be_written_is_refused_before_a_byte_of_it() -> None:
    refused(lambda w: w.write_event({1, 2}), EventDataError)
    refused(lambda w: w.write_raw_event(b"bytes"), EventDataError)  # type: ignore[arg-type]
    refused(lambda w: w.write_comment("\udfff"), EventDataError)
    for retry in (-1, 1.5, "1", True):
        refused(lambda w, retry=retry: w.set_retry(retry), InvalidEventError)  # type: ignore[misc]
    for seconds in (0, -1, float("nan")):
        refused(lambda w, seconds=seconds: w.start_heartbeat(seconds), ValueError)  # type: ignore[misc]


def test_an_error_of_the_log_is_told_by_its_public_text() -> None:
    error = BrokerUnavailableError("/srv/secret/path.db is locked")
    (frame,) = written(lambda w: w.write_error(error))
    assert b"secret" not in frame
    assert b"The log is not available now." in frame
