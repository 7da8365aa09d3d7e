"""What gunicorn and the development server log of a request."""

from __future__ import annotations

import logging

import pytest
from gunicorn.glogging import SafeAtoms
from gunicorn.http.errors import InvalidHTTPVersion, NoMoreData
from hypothesis import given
from hypothesis import strategies as st

from app.flask_simulcast.server_log import visible, visible_atoms, without_query, without_request

SECRET = "T1CKET"


def record(message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("gunicorn.error", logging.WARNING, "", 0, message, args, None)


@pytest.mark.parametrize("address", ["127.0.0.1", "", "2001:db8::7"])
def test_a_refused_request_line_is_told_by_the_kind_of_its_fault(address: str) -> None:
    """bug F9"""
    try:
        raise InvalidHTTPVersion(f"room&ticket={SECRET} HTTP/1.1")
    except InvalidHTTPVersion as error:
        written = record(f"Invalid request from ip={address}: {error}")
        assert without_request(written)
    assert written.getMessage() == f"Invalid request from ip={address}: InvalidHTTPVersion"


def test_without_the_error_at_hand_nothing_of_the_request_is_told() -> None:
    written = record(f"Invalid request from ip=127.0.0.1: 100% of '{SECRET}'")
    assert without_request(written)
    assert written.getMessage() == "Invalid request from ip=127.0.0.1: refused"


def test_a_debug_line_has_no_head_that_was_cut_off() -> None:
    written = record("Ignored premature client disconnection. %s", NoMoreData(f"GET /?ticket={SECRET}".encode()))
    assert without_request(written)
    assert written.getMessage() == "Ignored premature client disconnection. NoMoreData"


def test_a_request_that_fails_is_told_without_its_query() -> None:
    written = record("Error handling request %s %s", "GET", f"/x?a=b&ticket={SECRET}")
    assert without_request(written)
    assert written.getMessage() == "Error handling request GET /x"


@pytest.mark.parametrize(
    "written", [record("Booting worker with pid: %s", 7), record("Listening at: %s", "http://[::1]:80")]
)
def test_other_messages_stay(written: logging.LogRecord) -> None:
    before = written.getMessage()
    assert without_request(written)
    assert written.getMessage() == before


@given(st.text().filter(lambda text: "HTTP/" not in text))
def test_a_query_ends_at_the_version_alone(query: str) -> None:
    """It may hold spaces and quotes: a client wrote it."""
    assert without_query(f'"GET /x?{query}&ticket={SECRET} HTTP/1.1" 200 -') == '"GET /x HTTP/1.1" 200 -'
    assert without_query(f"GET /x?{query}&ticket={SECRET}") == "GET /x"


@given(st.text())
def test_a_text_from_outside_stays_one_line_and_drives_no_terminal(text: str) -> None:
    """sec F6"""
    assert visible(text).isprintable()
    assert len(visible(text).splitlines()) <= 1


def test_what_can_be_read_is_left_as_it_is() -> None:
    assert visible("/wukongs/悟空 é \\n") == "/wukongs/悟空 é \\n"


def test_a_path_of_the_access_log_is_one_line_in_utf_8() -> None:
    """sec F6: gunicorn decodes the path, and escapes quotes alone."""
    path = '/悟空/\n[2026] [CRITICAL]\x1b[31m\u202e"'.encode().decode("latin-1")
    atoms = SafeAtoms(visible_atoms({"U": path, "s": 200, "B": None, "{x}i": "\x9b31m"}))
    assert atoms["U"] == '/悟空/\\n[2026] [CRITICAL]\\x1b[31m\\u202e\\"'
    assert (atoms["s"], atoms["B"], atoms["{x}i"]) == (200, None, "\\x9b31m")
