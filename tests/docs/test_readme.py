"""README.md: ten lines, and one command a terminal (newcomer frictions 3, 4 and 25)."""

from __future__ import annotations

from pathlib import Path

from tests.docs.languages import check_shell
from tests.docs.page import Page
from tests.docs.reader import app_reader, service_reader
from tests.tools.clients import SSEClient
from tests.tools.serving import ROOT

PAGE = Page("README.md")
RUN = PAGE.take("One command a terminal", "sh")
LISTEN = PAGE.take("One command a terminal", "sh")
PUBLISH = PAGE.take("One command a terminal", "sh")
TEN_LINES = PAGE.take("Ten lines in your own app", "python")
TEXT = (ROOT / PAGE.path).read_text()
SERVE = "gunicorn -c python:flask_simulcast.gunicorn -w 2 app:app"  # stands in a sentence of the page
TEST = "./scripts/test"  # the same; it would run this test again


def test_second_terminal_shows_what_the_third_publishes(tmp_path: Path) -> None:
    with service_reader(tmp_path) as reader, reader.serving(RUN), reader.running(LISTEN) as terminal:
        terminal.wait_for("event: connected")
        assert '"positions"' in reader.run(PUBLISH)
        terminal.wait_for('data: {"text":"hello"}')


def test_the_command_that_runs_the_tests_is_there() -> None:
    assert f"`{TEST}`" in TEXT
    command = ROOT / TEST
    assert command.stat().st_mode & 0o111
    check_shell(command.read_text())


def test_ten_lines_are_an_app(tmp_path: Path) -> None:
    assert SERVE in TEXT
    with app_reader(tmp_path, app=TEN_LINES.text) as reader, reader.serving(SERVE) as server:
        with SSEClient(server.port, "/orders/stream") as client:
            client.until("connected")
            json_body = {"Content-Type": "application/json"}
            assert server.request("POST", "/orders", {"id": 7}, json_body)[0] == 201
            assert client.until("created").json == {"id": 7}


def test_it_is_read_in_one_go() -> None:
    assert len(TEXT.splitlines()) <= 80
