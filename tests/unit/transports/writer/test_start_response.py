"""What answers a request that has a writer: the first write, or the view's return value."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Response, request

from app.flask_simulcast.errors import StreamingNotSupportedError, WriterError
from tests.tools.serving import ROOT
from tests.unit.transports.writer.desk import Desk


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
        "def produce():\n"
        "    items.put(3)\n"
        "    errors.put('no more')\n"
        "@app.get('/')\n"
        "def view():\n"
        "    with Writer.of_request(Settings(broker_url='memory://'), Metrics()) as stream:\n"
        "        stop = stream.start_heartbeat(0.001)\n"
        "        stream.stream([1, 2])\n"
        "        threading.Timer(0.1, produce).start()\n"
        "        stream.stream_from(items, errors)\n"
        "        stop()\n"
        "        1 / 0\n"
        "    return stream.response\n"
        "assert not monkey.is_module_patched('socket')\n"
        "print(app.test_client().get('/').text)\n"
    )
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    run = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=30, check=True
    )
    assert run.stdout.split("\n\n")[:-1] == [
        "data: 1", "data: 2", "data: 3", 'event: error\ndata: {"error":"no more"}', 'event: error\ndata: {"error":"internal"}'
    ]  # fmt: skip
    assert "ZeroDivisionError" in run.stderr
