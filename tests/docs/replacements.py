"""A table of a page that shows another project's line and ours: the lines of ours that are Python, run in an app."""

from __future__ import annotations

import re
from typing import Any

from flask import Flask, Response

from app.flask_simulcast import Simulcast
from tests.tools.serving import ROOT


def lines_of(path: str) -> list[str]:
    """Each code span in the last column that calls something of ours."""
    rows = [line.split(" | ") for line in (ROOT / path).read_text().splitlines() if line.startswith("| `")]
    spans = [span for row in rows for span in re.findall(r"`([^`]+)`", row[-1])]
    return [span for span in spans if span.startswith(("simulcast.", "len(simulcast.", "Publisher."))]


def run_lines(path: str, names: dict[str, Any]) -> int:
    """Run them, in a request of an app that has one listener on `orders`. Returns how many there were."""
    app = Flask(__name__)
    app.config["SIMULCAST_BROKER_URL"] = f"sqlite:///{names['url'].removeprefix('sqlite:///')}"
    simulcast = Simulcast(app)
    lines = lines_of(path)
    with app.test_request_context("/", headers={"Accept": "text/event-stream"}):
        stream = simulcast.sse("orders").response
        first = next(iter(stream)).decode()
        listener = re.search(r'"listener":"(\w+)"', first)
        assert listener is not None, first
        try:
            for line in lines:
                result = eval(line, {**names, "simulcast": simulcast, "listener": listener[1], "data": {"id": 7}})
                if isinstance(result, Response):
                    result.close()
        finally:
            stream.close()  # type: ignore[union-attr]
            simulcast.close(app)
    return len(lines)
