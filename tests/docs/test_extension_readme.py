"""app/flask_simulcast/README.md: what the wheel says of itself."""

from __future__ import annotations

import re
import signal
import tomllib
from pathlib import Path

from tests.docs.page import Block, Page
from tests.docs.reader import app_reader
from tests.tools.clients import SSEClient
from tests.tools.serving import ROOT, Server, wait_until

PAGE = Page("app/flask_simulcast/README.md")
APP = PAGE.take("flask-simulcast", "python")
INSTALL = PAGE.take_untried("flask-simulcast", "sh")
SERVE = PAGE.take("flask-simulcast", "sh")
LISTEN = PAGE.take("flask-simulcast", "sh")
PUBLISH = PAGE.take("flask-simulcast", "sh")
IN_PRODUCTION = PAGE.take("flask-simulcast", "sh")


def test_install_names_an_extra_that_there_is() -> None:
    assert_extra_is_there(INSTALL)


def test_curl_shows_the_event(tmp_path: Path) -> None:
    with app_reader(tmp_path, app=APP.text) as reader, reader.serving(SERVE.replaced({"8000": str(reader.port)})):
        with reader.running(LISTEN) as terminal:
            terminal.wait_for("event: connected")
            reader.run(PUBLISH)
            terminal.wait_for('data: {"id":7}')


def test_in_production_a_server_that_stops_says_goodbye(tmp_path: Path) -> None:
    with app_reader(tmp_path, app=APP.text) as reader, reader.serving(IN_PRODUCTION) as server:
        assert_stopping_server_says_goodbye(server)


def assert_stopping_server_says_goodbye(server: Server) -> None:
    with SSEClient(server.port, "/orders/stream") as client:
        client.until("connected")
        server.signal(signal.SIGTERM)
        assert client.until("closed").json["reason"] == "draining"
    wait_until(lambda: server.process.poll() is not None, 20, "gunicorn to end")


def assert_extra_is_there(block: Block) -> None:
    """A line of pip names this project, with an extra that pyproject.toml has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    match = re.fullmatch(r"pip install '([\w-]+)\[(\w+)\]'\n", block.text)
    assert match is not None, block.place
    assert match[1] == project["name"]
    assert match[2] in project["optional-dependencies"]
