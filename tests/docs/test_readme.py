"""README.md: two terminals, ten lines, and figures that the benchmark has printed (newcomer frictions 3 and 25)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.figure import HEADER
from tests.clients import SSEClient
from tests.docs.languages import check_shell
from tests.docs.page import Page
from tests.docs.reader import app_reader, service_reader
from tests.serving import ROOT

PAGE = Page("README.md")
RUN = PAGE.take("Two commands", "sh")
TEST = PAGE.take_untried("Two commands", "sh")
WATCH = PAGE.take("Two commands", "sh")
RUN_WITH_KEY = PAGE.take("Two commands", "sh")
LISTEN = PAGE.take("Two commands", "sh")
PUBLISH = PAGE.take("Two commands", "sh")
TEN_LINES = PAGE.take("Ten lines in your own app", "python")
FIGURES = PAGE.take("What it costs", "text")
REDIS_FIGURES = PAGE.take("What it costs", "text")
SERVE = "gunicorn -k gevent -w 2 app:app"  # stands in a sentence of the page


def test_the_first_command_serves_and_curl_shows_this_machine(tmp_path: Path) -> None:
    with service_reader(tmp_path) as reader, reader.serving(RUN), reader.running(WATCH) as curl:
        curl.wait_for("event: connected")
        curl.wait_for("event: status")


def test_the_second_command_is_there(tmp_path: Path) -> None:
    command = ROOT / TEST.text.split()[0]
    assert command.stat().st_mode & 0o111
    check_shell(command.read_text())


def test_publish_demo_shows_the_event_in_the_second_terminal(tmp_path: Path) -> None:
    """Friction 3: the second server died on the port of the first, and curl was faster than the server."""
    with service_reader(tmp_path) as reader:
        with reader.serving(RUN):
            pass  # the page says: stop it
        with reader.serving(RUN_WITH_KEY), reader.running(LISTEN) as terminal:
            terminal.wait_for("event: connected")
            assert '"positions"' in reader.run(PUBLISH)
            terminal.wait_for('data: {"text":"hello"}')


def test_ten_lines_are_an_app(tmp_path: Path) -> None:
    assert SERVE in (ROOT / PAGE.path).read_text()
    with app_reader(tmp_path, app=TEN_LINES.text) as reader, reader.serving(SERVE) as server:
        with SSEClient(server.port, "/orders/stream") as client:
            client.until("connected")
            json_body = {"Content-Type": "application/json"}
            assert server.request("POST", "/orders", {"id": 7}, json_body)[0] == 201
            assert client.until("created").json == {"id": 7}


def test_figures_are_those_of_the_last_benchmark() -> None:
    measured = json.loads((ROOT / "benchmarks" / "results" / "latest.json").read_text())["figures"]
    assert FIGURES.lines[0] == HEADER.rstrip()
    shown = [(name_of(line), number_of(line)) for line in FIGURES.lines[1:]]
    assert shown == [(row["name"], pytest.approx(row["value"], rel=0.005)) for row in measured]


def test_figures_of_redis_are_rows_that_the_benchmark_has() -> None:
    """They are of a run of their own, whose results are not kept."""
    code = (ROOT / "benchmarks" / "redis.py").read_text()
    of_sqlite = {name_of(line).replace("sqlite", "redis") for line in FIGURES.lines}
    for line in REDIS_FIGURES.lines:
        name = name_of(line)
        is_there = name in of_sqlite or name.removeprefix("redis ") in of_sqlite or f'"{name}"' in code
        assert is_there or re.sub(r"\d+", "{_PUBLISHERS}", name) in code, line
        assert number_of(line) > 0


def name_of(line: str) -> str:
    """The first column."""
    return line[:48].strip()


def number_of(line: str) -> float:
    """The second one; thousands are apart."""
    return float(line[49:60].replace(" ", ""))
