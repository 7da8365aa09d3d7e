"""The writer: what stands on the wire, who answers, and that every error has one way out.

Names of tests that say `…_of_the_go_library` show a row of the table in docs/writer.md.
"""

from __future__ import annotations

import logging
import queue
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import gevent
import gevent.event
import gevent.queue
import pytest
from flask import Flask, Response, abort, request

from app.flask_simulcast.errors import (
    BrokerUnavailableError,
    EventDataError,
    EventTypeError,
    InvalidEventError,
    ListenerGoneError,
    NoRequestError,
    NotHTTPError,
    SimulcastError,
    StreamingNotSupportedError,
    WriterError,
)
from app.flask_simulcast.metrics import COUNTERS, Metrics
from app.flask_simulcast.settings import Settings
from app.flask_simulcast.testing import read_sse
from app.flask_simulcast.transports.writer.writer import Writer, WriterEvent, keep_start_response
from tests.tools.serving import ROOT
from tests.unit.conftest import running


@dataclass
class Answer:
    """What a WSGI server would have been given."""

    status: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    writes: list[bytes] = field(default_factory=list)
    body: bytes = b""

    @property
    def data(self) -> bytes:
        return b"".join(self.writes) + self.body


class Desk:
    """One app with one view, asked without a server in between."""

    def __init__(self, view: Callable[[Desk], Any], *, has_gate: bool = True) -> None:
        self.metrics = Metrics()
        self.app = Flask("desk")
        self.app.add_url_rule("/", view_func=lambda: view(self), endpoint="view", methods=["GET", "POST"])
        self.app.register_error_handler(SimulcastError, lambda error: (error.code, error.status))
        if has_gate:
            self.app.wsgi_app = keep_start_response(self.app.wsgi_app)  # type: ignore[method-assign]

    def writer(self, headers: dict[str, str] | None = None) -> Writer:
        return Writer.of_request(Settings(broker_url="memory://"), self.metrics, headers)

    def ask(self, method: str = "GET", send: Callable[[bytes], object] | None = None, **environ: str) -> Answer:
        """One request, as a server asks. `send` is called with each write, before it counts as written."""
        answer = Answer()

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Any:
            assert not answer.status, "a server starts one response"
            answer.status, answer.headers = status, {name.lower(): value for name, value in headers}

            def write(data: bytes) -> None:
                if send is not None:
                    send(data)
                answer.writes.append(data)

            return write

        with self.app.test_request_context("/", method=method, headers={}) as context:
            asked = dict(context.request.environ) | environ
        body = self.app.wsgi_app(asked, start_response)
        try:
            answer.body = b"".join(body)
        finally:
            if hasattr(body, "close"):
                body.close()
        return answer


def written(act: Callable[[Writer], object]) -> list[bytes]:
    """The writes of a view that does this."""

    def view(desk: Desk) -> Response:
        with desk.writer() as stream:
            act(stream)
        return stream.response

    return Desk(view).ask().writes


def refused(act: Callable[[Writer], object], error: type[Exception]) -> None:
    """It raises this, and nothing gets out."""

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
    beats = gevent.queue.Queue[bytes]()

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


# Who answers


def test_the_first_write_answers_and_what_the_view_returns_goes_nowhere() -> None:
    closed = []

    def view(desk: Desk) -> Response:
        with desk.writer({"Access-Control-Allow-Origin": "https://app.example"}) as stream:
            stream.response.headers["X-Mine"] = "1"
            stream.write_event(1)
            stream.response.headers["X-Late"] = "1"
            stream.write_event(2)
        other = Response("something else", status=404)
        other.call_on_close(lambda: closed.append(True))
        return other

    desk = Desk(view)
    answer = desk.ask()
    assert answer.status == "200 OK"
    assert answer.headers == {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache, no-transform",
        "x-accel-buffering": "no",
        "access-control-allow-origin": "https://app.example",
        "x-mine": "1",
    }
    assert (answer.writes, answer.body) == ([b"data: 1\n\n", b"data: 2\n\n"], b"")
    assert closed == [True]
    assert desk.metrics.snapshot() == {"simulcast_writer_streams_total": 1}


def test_a_block_that_writes_nothing_leaves_the_answer_to_the_view() -> None:
    def nothing(desk: Desk) -> Response:
        with desk.writer() as stream:
            pass
        return stream.response

    answer = Desk(nothing).ask()
    assert (answer.status, answer.data) == ("200 OK", b"")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"

    def other(desk: Desk) -> tuple[str, int]:
        with desk.writer():
            pass
        return "nothing to tell", 409

    answer = Desk(other).ask()
    assert (answer.status, answer.data) == ("409 CONFLICT", b"nothing to tell")


def test_views_without_a_writer_do_not_notice_the_gate() -> None:
    def view(desk: Desk) -> Response:
        return Response((piece for piece in ["a", "b"]), status=201)

    answer = Desk(view).ask()
    assert (answer.status, answer.body) == ("201 CREATED", b"ab")


def test_a_request_has_one_writer_and_one_answer() -> None:
    def two(desk: Desk) -> Response:
        with desk.writer() as one:
            one.write_event(1)
            with pytest.raises(WriterError):
                with desk.writer() as other:
                    other.write_event(2)
        return one.response

    assert Desk(two).ask().writes == [b"data: 1\n\n"]

    late: list[Exception] = []

    def in_the_body(desk: Desk) -> Response:
        stream = desk.writer()

        def body() -> Iterator[str]:
            yield "begun"
            try:
                with stream:
                    stream.write_event(1)
            except WriterError as error:
                late.append(error)

        return Response(body())

    assert Desk(in_the_body).ask().data == b"begun"
    assert len(late) == 1


def test_outside_its_block_a_writer_does_not_write() -> None:
    def view(desk: Desk) -> Response:
        stream = desk.writer()
        with pytest.raises(WriterError):
            stream.write_event(1)
        with stream:
            stream.write_event(2)
        with pytest.raises(WriterError):
            stream.write_event(3)
        with pytest.raises(WriterError):
            stream.start_heartbeat(1)
        return stream.response

    assert Desk(view).ask().writes == [b"data: 2\n\n"]


def test_a_header_can_t_carry_another_one() -> None:
    def view(desk: Desk) -> Response:
        with pytest.raises(ValueError, match="newline"):
            desk.writer({"X-Bad": "a\r\nSet-Cookie: x"})
        return Response("ok")

    assert Desk(view).ask().data == b"ok"


def test_a_middleware_that_hides_write_is_named() -> None:
    def view(desk: Desk) -> Response:
        with desk.writer() as stream:
            stream.write_event(1)
        return stream.response

    desk = Desk(view)
    desk.app.testing = True
    desk.app.error_handler_spec[None][None].clear()
    environ: dict[str, Any] = {}
    with desk.app.test_request_context("/"):
        environ = dict(request.environ)
    with pytest.raises(StreamingNotSupportedError, match="hides it"):
        desk.app.wsgi_app(environ, lambda *_: None)  # type: ignore[arg-type,return-value]


def test_head_gets_the_headers_and_nothing_else() -> None:
    went_on = []

    def view(desk: Desk) -> Response:
        with desk.writer() as stream:
            stream.write_event(1)
            went_on.append(True)
        return stream.response

    desk = Desk(view)
    answer = desk.ask("HEAD")
    assert (answer.status, answer.data, went_on) == ("200 OK", b"", [])
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "content-length" not in answer.headers
    assert desk.metrics.snapshot() == {}


def test_the_test_client_of_flask_gets_it_all() -> None:
    def view(desk: Desk) -> Response:
        with desk.writer() as stream:
            stream.write_event({"token": "a"})
            stream.write_done()
        return stream.response

    response = Desk(view).app.test_client().post("/")
    assert response.data == b'data: {"token":"a"}\n\ndata: [DONE]\n\n'
    assert response.content_type == "text/event-stream; charset=utf-8"


def test_it_works_in_a_process_that_is_not_patched(tmp_path: Path) -> None:
    """A team's tests need no gevent: no watch and no heartbeat there, and everything else."""
    script = tmp_path / "unpatched.py"
    script.write_text(
        "import queue, threading\n"
        "from flask import Flask\n"
        "from gevent import monkey\n"
        "from app.flask_simulcast.metrics import Metrics\n"
        "from app.flask_simulcast.settings import Settings\n"
        "from app.flask_simulcast.transports.writer.start_response import keep_start_response\n"
        "from app.flask_simulcast.transports.writer.writer import Writer\n"
        "app = Flask(__name__)\n"
        "app.wsgi_app = keep_start_response(app.wsgi_app)\n"
        "items, errors = queue.Queue(), queue.Queue()\n"
        "@app.get('/')\n"
        "def view():\n"
        "    with Writer.of_request(Settings(broker_url='memory://'), Metrics()) as stream:\n"
        "        stop = stream.start_heartbeat(0.001)\n"
        "        stream.stream([1, 2])\n"
        "        threading.Timer(0.1, items.put, [3]).start()\n"
        "        threading.Timer(0.2, errors.put, ['no more']).start()\n"
        "        stream.stream_from(items, errors)\n"
        "        stop()\n"
        "        1 / 0\n"
        "    return stream.response\n"
        "assert not monkey.is_module_patched('socket')\n"
        "print(app.test_client().get('/').text)\n"
        "under_gunicorn = app.test_client().get('/', environ_base={'gunicorn.socket': object()})\n"
        "assert under_gunicorn.status_code == 500\n"
    )
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    run = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=30, check=True
    )
    assert run.stdout.split("\n\n")[:-1] == [
        "data: 1", "data: 2", "data: 3", 'event: error\ndata: {"error":"no more"}', 'event: error\ndata: {"error":"internal"}'
    ]  # fmt: skip
    assert "ZeroDivisionError" in run.stderr
    assert "NotPatchedError" in run.stderr, "a server whose workers wait for one client at a time is refused"


# Errors


def test_an_exception_before_the_first_write_is_an_ordinary_one() -> None:
    def view(desk: Desk) -> Response:
        with desk.writer() as stream:
            abort(404, "no such thing")
        return stream.response

    desk = Desk(view)
    assert desk.ask().status == "404 NOT FOUND"

    def invalid(desk: Desk) -> Response:
        with desk.writer() as stream:
            stream.write_event(object())
        return stream.response

    answer = Desk(invalid).ask()  # the app's fault: see `errors`
    assert (answer.status, answer.data) == ("500 INTERNAL SERVER ERROR", b"event_data")
    assert desk.metrics.snapshot() == {}


def test_an_exception_after_it_is_logged_and_told_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    def view(desk: Desk) -> Response:
        with desk.writer() as stream:
            stream.write_event(1)
            raise RuntimeError("password=hunter2")
        return stream.response

    desk = Desk(view)
    with caplog.at_level(logging.ERROR, "flask_simulcast"):
        answer = desk.ask()
    assert answer.writes == [b"data: 1\n\n", b'event: error\ndata: {"error":"internal"}\n\n']
    assert caplog.records[0].exc_info is not None
    assert "RuntimeError" in caplog.text
    assert desk.metrics.snapshot() == {"simulcast_writer_errors_total": 1, "simulcast_writer_streams_total": 1}


def test_an_error_of_ours_after_it_is_told_by_its_code() -> None:
    def act(stream: Writer) -> None:
        stream.write_event(1)
        stream.write_event(object())

    assert written(act)[1] == b'event: error\ndata: {"error":"event_data"}\n\n'


@pytest.mark.parametrize("kind", [gevent.GreenletExit, SystemExit, KeyboardInterrupt, gevent.Timeout])
def test_what_ends_a_greenlet_goes_through(kind: type[BaseException]) -> None:
    def view(desk: Desk) -> Response:
        with desk.writer() as stream:
            stream.start_heartbeat(60)
            stream.write_event(1)
            raise kind
        return stream.response

    desk = Desk(view)
    with pytest.raises(kind):
        desk.ask()
    assert desk.metrics.value("writer_errors_total") == 0


@pytest.mark.parametrize("trouble", [BrokenPipeError, ConnectionResetError, OSError])
def test_a_write_that_fails_means_that_the_client_left(trouble: type[OSError]) -> None:
    log: list[str] = []

    def send(data: bytes) -> None:
        if data == b"data: 2\n\n":
            raise trouble

    def tokens() -> Iterator[int]:
        try:
            yield from [1, 2, 3]
        finally:
            log.append("closed")

    def view(desk: Desk) -> Response:
        with desk.writer() as stream:
            try:
                stream.stream(tokens())
            except ListenerGoneError:
                log.append("told")
                assert stream.is_gone
                with pytest.raises(ListenerGoneError):
                    stream.write_done()
                raise
        log.append("went on")
        return stream.response

    desk = Desk(view)
    assert desk.ask(send=send).writes == [b"data: 1\n\n"]
    assert log == ["closed", "told", "went on"]
    assert desk.metrics.snapshot() == {"simulcast_writer_gone_total": 1, "simulcast_writer_streams_total": 1}


def test_an_error_made_of_a_leaving_client_is_quiet_and_a_bug_on_the_way_out_is_not() -> None:
    def fails(data: bytes) -> None:
        raise BrokenPipeError

    def wrapped(desk: Desk) -> Response:
        with desk.writer() as stream:
            try:
                stream.write_event(1)
            except ListenerGoneError as error:
                raise RuntimeError("the stream failed") from error
        return stream.response

    desk = Desk(wrapped)
    desk.ask(send=fails)
    assert desk.metrics.value("writer_errors_total") == 0

    def buggy(desk: Desk) -> Response:
        with desk.writer() as stream:
            try:
                stream.write_event(1)
            finally:
                _ = 1 / 0
        return stream.response

    desk = Desk(buggy)
    desk.ask(send=fails)
    assert desk.metrics.value("writer_errors_total") == 1


# Many events


def test_a_producer_that_fails_is_closed_and_told() -> None:
    def tokens() -> Iterator[int]:
        yield 1
        raise RuntimeError("upstream said no")

    assert written(lambda w: w.stream(tokens())) == [b"data: 1\n\n", b'event: error\ndata: {"error":"internal"}\n\n']


def test_items_that_were_there_go_out_before_the_error_and_none_after() -> None:
    items: gevent.queue.Queue[int] = gevent.queue.Queue()
    errors: gevent.queue.Queue[object] = gevent.queue.Queue()
    for n in range(3):
        items.put(n)
    errors.put(None)
    errors.put(ValueError("enough"))
    expected = [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n", b'event: error\ndata: {"error":"enough"}\n\n']
    assert written(lambda w: w.stream_from(items, errors)) == expected


@pytest.mark.parametrize("make", [gevent.queue.Queue, queue.Queue])
def test_an_error_wakes_who_waits_for_items(make: Callable[[], Any]) -> None:
    items, errors = make(), make()

    def fail() -> None:
        items.put(1)
        gevent.sleep(0.01)
        errors.put("late")

    gevent.spawn(fail)
    expected = [b"data: 1\n\n", b'event: error\ndata: {"error":"late"}\n\n']
    with gevent.Timeout(5):
        assert written(lambda w: w.stream_from(items, errors)) == expected


@pytest.mark.parametrize("make", [gevent.queue.Queue, queue.Queue])
def test_an_error_and_items_in_any_order_lose_nothing(make: Callable[[], Any]) -> None:
    """Whoever puts first: all items that were put before the error, then the error."""
    for steps in range(8):
        items, errors = make(), make()

        def produce(items: Any = items, errors: Any = errors, steps: int = steps) -> None:
            for n in range(6):
                items.put(n)
                if (n % 2 and steps & 1) or (n % 3 and steps & 2):
                    gevent.sleep(0)
            if steps & 4:
                gevent.sleep(0.001)
            errors.put("end")

        producer = gevent.spawn(produce)
        with gevent.Timeout(5):
            writes = written(lambda w, i=items, e=errors: w.stream_from(i, e))  # type: ignore[misc]
        producer.join()
        assert writes == [*(b"data: %d\n\n" % n for n in range(6)), b'event: error\ndata: {"error":"end"}\n\n']


def test_an_end_with_an_error_beside_it_is_an_error() -> None:
    items: gevent.queue.Queue[object] = gevent.queue.Queue()
    errors: gevent.queue.Queue[object] = gevent.queue.Queue()

    def produce() -> None:
        gevent.sleep(0.005)
        errors.put("failed")
        items.put(StopIteration)

    gevent.spawn(produce)
    assert written(lambda w: w.stream_from(items, errors)) == [b'event: error\ndata: {"error":"failed"}\n\n']


def test_queues_that_are_shut_down_have_ended() -> None:
    items: gevent.queue.Queue[int] = gevent.queue.Queue()
    errors: gevent.queue.Queue[object] = gevent.queue.Queue()
    items.put(1)
    items.shutdown()
    errors.shutdown()
    assert written(lambda w: w.stream_from(items, errors)) == [b"data: 1\n\n"]


# Heartbeat


def test_a_heartbeat_fills_silence_alone_and_ends_with_the_block() -> None:
    sent = [(time.monotonic(), b"")]
    beaten = gevent.event.Event()

    def send(data: bytes) -> None:
        sent.append((time.monotonic(), data))
        if [data for _, data in sent].count(b":\n") == 3:
            beaten.set()

    def view(desk: Desk) -> Response:
        with desk.writer() as stream:
            stream.start_heartbeat(0.05)
            for n in range(20):
                stream.write_event(n)
                gevent.sleep(0.01)
            assert beaten.wait(5)
        return stream.response

    Desk(view).ask(send=send)
    for (before, _), (now, data) in pairwise(sent):
        assert data != b":\n" or now - before >= 0.05
    assert not [greenlet for greenlet in running() if "Heartbeat" in repr(greenlet)]


def test_frames_of_several_greenlets_never_mix() -> None:
    def slow(data: bytes) -> None:
        gevent.sleep(0)  # a server that waits for the socket in the middle of a write

    def view(desk: Desk) -> Response:
        with desk.writer() as stream:
            stream.start_heartbeat(0.001)
            big = "x" * 200_000  # in several pieces
            gevent.joinall([gevent.spawn(stream.write_raw_event, big) for _ in range(5)], raise_error=True)
        return stream.response

    answer = Desk(view).ask(send=slow)
    assert max(map(len, answer.writes)) <= 64 << 10
    events = list(read_sse(b"".join(answer.writes)))
    assert [event.data for event in events] == ["x" * 200_000] * 5


def refuse_heartbeats(data: bytes) -> None:
    """Send to a client that is gone, as far as heartbeats can tell."""
    if data == b":\n":
        raise BrokenPipeError


def test_a_heartbeat_that_can_t_be_written_wakes_the_view_once() -> None:
    """What tells of a client behind TLS, where nobody can look."""
    log: list[str] = []

    def view(desk: Desk) -> Response:
        with desk.writer() as stream:
            stream.write_event(1)
            stream.start_heartbeat(0.01)
            try:
                gevent.sleep(10)
            finally:
                log.append("woken")
                gevent.sleep(0.03)  # cleaning up may switch, and is not disturbed
                log.append("cleaned up")
        log.append("went on")
        return stream.response

    desk = Desk(view)
    with gevent.Timeout(5):
        desk.ask(send=refuse_heartbeats)
    assert log == ["woken", "cleaned up", "went on"]
    assert desk.metrics.value("writer_gone_total") == 1


def test_who_swallows_everything_is_told_again_by_the_next_write() -> None:
    log: list[str] = []

    def view(desk: Desk) -> Response:
        with desk.writer() as stream:
            stream.write_event(1)
            stream.start_heartbeat(0.01)
            try:
                gevent.sleep(10)
            except Exception:
                log.append("a library takes it for its own trouble, and tries again")
            except BaseException:
                log.append("swallowed")
            stream.write_event(2)
            log.append("never")
        return stream.response

    Desk(view).ask(send=refuse_heartbeats)
    assert log == ["swallowed"]


def test_the_counters_are_in_the_table() -> None:
    assert {"writer_streams_total", "writer_errors_total", "writer_gone_total"} <= set(COUNTERS)
