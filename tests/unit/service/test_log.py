"""What the service logs, and what it never logs."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
from flask import Flask

from app import log


@pytest.fixture
def bare() -> Iterator[io.StringIO]:
    """The output of a process without configured logging. Afterwards everything is restored."""
    loggers = [logging.getLogger(name) for name in ("app", "flask_simulcast", "werkzeug")]
    before = [(each, each.level, each.filters[:]) for each in loggers]
    yield io.StringIO()
    for logger, level, filters in before:
        logger.setLevel(level)
        logger.filters[:] = filters
    logging.getLogger().handlers.clear()


def begin(text: io.StringIO, level: str = "", handlers: tuple[logging.Handler, ...] = ()) -> None:
    """pytest's own handlers come after the fixtures, so they are taken away here."""
    logging.getLogger().handlers[:] = handlers
    app = Flask("any")
    app.config["SIMULCAST_LOG_LEVEL"] = level
    log.init_app(app)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(text)


def test_the_end_of_a_stream_is_one_line_with_level_logger_and_time(bare: io.StringIO) -> None:
    begin(bare)
    logging.getLogger("flask_simulcast.streams").info("%s", '{"reason": "client_gone"}')
    (line,) = bare.getvalue().splitlines()
    assert line.endswith('[INFO] flask_simulcast.streams: {"reason": "client_gone"}')
    assert line.startswith("[20")


def test_a_message_can_t_look_like_two(bare: io.StringIO) -> None:
    begin(bare)
    logging.getLogger("app").warning("name %s", "x\n[2026-01-01] [1] [INFO] app: all is well\r")
    assert bare.getvalue().count("\n") == 1
    assert "\r" not in bare.getvalue()


def test_a_traceback_is_kept(bare: io.StringIO) -> None:
    begin(bare)
    try:
        raise RuntimeError("on purpose")
    except RuntimeError:
        logging.getLogger("app.anything").exception("It failed.")
    assert "RuntimeError: on purpose" in bare.getvalue()


@pytest.mark.parametrize(("given", "gunicorn", "is_written"), [("", "", True), ("", "WARNING", False), ("info", "error", True), ("error", "debug", False), ("", "trace", True)])  # fmt: skip
def test_the_level_is_the_setting_s_or_else_gunicorn_s(
    bare: io.StringIO, monkeypatch: pytest.MonkeyPatch, given: str, gunicorn: str, is_written: bool
) -> None:
    monkeypatch.setenv("LOG_LEVEL", gunicorn)
    begin(bare, given)
    logging.getLogger("flask_simulcast").info("something")
    assert bool(bare.getvalue()) == is_written


def test_libraries_speak_up_only_when_something_is_wrong(bare: io.StringIO) -> None:
    begin(bare, "debug")
    logging.getLogger("urllib3").info("something")
    logging.getLogger("urllib3").warning("something else")
    assert bare.getvalue().count("something") == 1


def test_configured_logging_is_left_alone(bare: io.StringIO) -> None:
    mine = logging.NullHandler()
    begin(bare, handlers=(mine,))
    assert logging.getLogger().handlers == [mine]


def test_the_development_server_writes_no_query_string(bare: io.StringIO) -> None:
    begin(bare)
    server = logging.getLogger("werkzeug")
    server.warning('127.0.0.1 - - [21/Nov/2026] "GET /api/v1/stream?channel=a&ticket=s3cret HTTP/1.1" 200 -')
    server.warning('%s "%s"', "127.0.0.1", "GET /x?ticket=s3cret HTTP/1.1")
    assert "s3cret" not in bare.getvalue()
    assert '"GET /api/v1/stream HTTP/1.1" 200 -' in bare.getvalue()


@pytest.mark.parametrize(
    ("message", "args"),
    [
        ('"%s" %s %s', ("GET /x?channel=my room&ticket=s3cret HTTP/1.1", "200", "-")),
        ('"GET /x?a="b\'&ticket=s3cret HTTP/1.1" 200 -', ()),
        ("code %d, message %s", (400, "Bad request version ('room&ticket=s3cret')")),
        ("code %d, message %s", (400, "Bad request syntax ('GET /x?channel=my room&ticket=s3cret x y')")),
    ],
)
def test_the_development_server_writes_no_request_line_that_it_could_not_read(
    bare: io.StringIO, message: str, args: tuple[object, ...]
) -> None:
    """bug F9: the query was cut at its first space only."""
    begin(bare)
    logging.getLogger("werkzeug").warning(message, *args)
    assert bare.getvalue()
    assert "s3cret" not in bare.getvalue()


def test_a_message_and_a_traceback_can_t_drive_a_terminal_or_look_like_a_line(bare: io.StringIO) -> None:
    """sec F6"""
    begin(bare)
    try:
        raise RuntimeError("\x1b[31m\n[2026-01-01] [1] [INFO] app: all is well")
    except RuntimeError:
        logging.getLogger("app").exception("It failed: %s", "\x1b[2J\u202e")
    assert "\x1b" not in bare.getvalue() and "\u202e" not in bare.getvalue()
    assert [line for line in bare.getvalue().splitlines() if line.startswith("[2026-01-01]")] == []
