"""docs/servers.md: its matrix has the servers and the streams that are tried, and says no where they are refused."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.page import Page, program
from tests.docs.reader import app_reader
from tests.tools.clients import SSEClient
from tests.tools.servers import KINDS
from tests.tools.serving import ROOT

PAGE = Page("docs/servers.md")
SERVE = PAGE.take("A worker that answers itself", "sh")
APP = PAGE.take("A worker that answers itself", "python")
TEXT = (ROOT / "docs" / "servers.md").read_text()
TRIED = (ROOT / "tests" / "integration" / "test_servers.py").read_text()
TESTS = {
    "sse": "test_listeners_get_what_is_published_in_order_and_only_once",
    "ndjson": "test_lines_come_as_well",
    "writer": "test_a_view_writes_its_own_stream_and_ends_when_its_client_leaves",
    "run": "test_a_run_is_watched_to_its_end_and_can_be_cancelled",
    "websocket": "test_a_websocket_gets_events_and_answers",
}


def test_the_matrix_is_what_is_tried() -> None:
    head, _, *rows = [
        line.strip("| ").split(" | ") for line in re.findall(r"^\|.*\|$", TEXT.split("##")[0], re.MULTILINE)
    ]
    assert [name.strip("`") for name in head[1:]] == list(TESTS)
    assert all(f"def {name}(server: Server" in TRIED for name in TESTS.values())
    cells = {kind: row[1:] for row in rows for kind in KINDS if kind in row[0]}
    assert cells.keys() == KINDS.keys()
    refused = {
        (kind, name) for kind, row in cells.items() for name, cell in zip(TESTS, row, strict=True) if cell != "yes"
    }
    assert refused == {("waitress", "websocket")}, "the test of WebSockets expects an error there"


def test_a_worker_answers_the_hot_route_of_an_app_itself(tmp_path: Path) -> None:
    says = "\n\n@app.get('/seen')\ndef seen():\n    return [simulcast.metrics.answers[200]]\n"
    with app_reader(tmp_path, app=program(APP) + says) as reader, reader.serving(SERVE) as server:
        for _ in range(2):
            with SSEClient(server.port, "/orders/stream") as client:
                assert client.until("connected").json["channels"] == ["orders"]
        assert server.get_json("/seen") == [2], "no reporter counts the others"
        assert "No hot routes" not in server.log
