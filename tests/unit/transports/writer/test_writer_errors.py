"""Every error has one way out: an ordinary answer before the first write, the log and an event after it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import gevent
import gevent.event
import gevent.queue
import pytest
from flask import Response, abort

from app.flask_simulcast.errors import ListenerGoneError
from app.flask_simulcast.transports.writer.writer import Writer
from tests.unit.transports.writer.desk import Desk, written


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
