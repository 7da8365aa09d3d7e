"""docs/start.md: a key, a token, a first event, and a connection that comes back (newcomer frictions 3 and 25)."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.page import Page
from tests.docs.reader import service_reader

PAGE = Page("docs/start.md")
RUN = PAGE.take("Look at this machine", "sh")
WATCH = PAGE.take("Look at this machine", "sh")
RUN_WITH_KEY = PAGE.take("Publish an event", "sh")
LISTEN = PAGE.take("Publish an event", "sh")
PUBLISH = PAGE.take("Publish an event", "sh")
COME_BACK = PAGE.take("Lose a connection", "sh")


def test_publish_demo_shows_the_event_in_the_second_terminal(tmp_path: Path) -> None:
    """Friction 3: the second server died on the port of the first, and curl was faster than the server."""
    with service_reader(tmp_path) as reader:
        with reader.serving(RUN), reader.running(WATCH) as curl:
            curl.wait_for("event: status")
        with reader.serving(RUN_WITH_KEY):
            with reader.running(LISTEN) as terminal:
                terminal.wait_for("event: connected")
                assert '"positions"' in reader.run(PUBLISH)
                terminal.wait_for('data: {"text":"hello"}')
            last_id = re.findall(r"^id: (.*)$", terminal.output, re.MULTILINE)[-1]
            reader.run(PUBLISH.replaced({"hello": "missed"}))
            with reader.running(COME_BACK.replaced({"…": last_id})) as terminal:
                terminal.wait_for('data: {"text":"missed"}')
                assert "hello" not in terminal.output


def test_another_port_is_one_variable(tmp_path: Path) -> None:
    """The page names BIND; gunicorn.conf.py reads it, where GUNICORN_CMD_ARGS says nothing."""
    with service_reader(tmp_path) as reader:
        command = f"BIND=127.0.0.1:{reader.port} {RUN.text}"
        with reader.serving(command, GUNICORN_CMD_ARGS="") as server:
            assert server.request("GET", "/healthz")[0] == 200
