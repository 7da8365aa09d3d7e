"""README.md: ten lines, two commands, and a second terminal (newcomer friction 25)."""

from __future__ import annotations

from pathlib import Path

from tests.docs.languages import check_shell
from tests.docs.page import Page
from tests.docs.reader import app_reader, service_reader
from tests.tools.clients import SSEClient
from tests.tools.serving import ROOT

PAGE = Page("README.md")
RUN = PAGE.take("Two commands", "sh")
TEST = PAGE.take_untried("Two commands", "sh")
WATCH = PAGE.take("Two commands", "sh")
TEN_LINES = PAGE.take("Ten lines in your own app", "python")
SERVE = "gunicorn -c python:flask_simulcast.gunicorn -w 2 app:app"  # stands in a sentence of the page


def test_the_first_command_serves_and_curl_shows_this_machine(tmp_path: Path) -> None:
    with service_reader(tmp_path) as reader, reader.serving(RUN), reader.running(WATCH) as curl:
        curl.wait_for("event: connected")
        curl.wait_for("event: status")


def test_the_second_command_is_there(tmp_path: Path) -> None:
    command = ROOT / TEST.text.split()[0]
    assert command.stat().st_mode & 0o111
    check_shell(command.read_text())


def test_ten_lines_are_an_app(tmp_path: Path) -> None:
    assert SERVE in (ROOT / PAGE.path).read_text()
    with app_reader(tmp_path, app=TEN_LINES.text) as reader, reader.serving(SERVE) as server:
        with SSEClient(server.port, "/orders/stream") as client:
            client.until("connected")
            json_body = {"Content-Type": "application/json"}
            assert server.request("POST", "/orders", {"id": 7}, json_body)[0] == 201
            assert client.until("created").json == {"id": 7}


def test_it_is_read_in_one_go() -> None:
    assert len((ROOT / PAGE.path).read_text().splitlines()) <= 80
