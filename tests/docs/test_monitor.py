"""docs/monitor.md: the stream by curl, and the events as they are shown."""

from __future__ import annotations

import json
from pathlib import Path

from tests.docs.likeness import assert_alike
from tests.docs.page import Page
from tests.docs.reader import service_reader
from tests.tools.clients import SSEClient

PAGE = Page("docs/monitor.md")
WATCH = PAGE.take("Dashboard: the load, live", "sh")
METRICS = PAGE.take("Dashboard: the load, live", "json")
SYSTEM_STATUS = PAGE.take("System status, for everyone", "json")


def test_both_events_are_as_shown(tmp_path: Path) -> None:
    settings = {"SIMULCAST_SYSTEM_STATUS": "true", "SIMULCAST_ANONYMOUS_CHANNELS": "dashboard"}
    with (
        service_reader(tmp_path) as reader,
        reader.serving("scripts/run", **settings) as server,
        reader.running(WATCH) as terminal,
        SSEClient(server.port, "/api/v1/dashboard/stream") as client,
    ):
        metrics, status = client.until("metrics").json, client.until("system-status").json
        shown, shown_status = json.loads(METRICS.text), json.loads(SYSTEM_STATUS.text)
        assert_alike(shown | {"host": metrics["host"]}, metrics)
        assert_alike(shown_status | {"host": metrics["host"]}, status)
        terminal.wait_for("event: metrics")
