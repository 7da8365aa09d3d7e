"""docs/operations.md tells of every variable that gunicorn.conf.py reads, and of no other."""

from __future__ import annotations

import re

from app.flask_simulcast.keepalive import keepalive_for
from app.flask_simulcast.settings import Settings
from tests.tools.serving import ROOT


def test_every_variable_of_gunicorn_conf_py_is_documented() -> None:
    read = re.findall(
        r"""(?:_number\(|os\.environ(?:\.get\(|\[))["']([A-Z_]+)["']""", (ROOT / "gunicorn.conf.py").read_text()
    )
    table = re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert sorted(table) == sorted(set(read))


def test_nginx_asks_a_silent_client_several_times_and_is_done_before_the_next_heartbeat() -> None:
    """scale-2 7.1: where something is on its way to a client, the kernel sends no probes."""
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    (idle, interval, probes) = map(int, re.findall(r"so_keepalive=(\d+)s:(\d+)s:(\d+)", text)[0])
    assert probes >= 5
    assert idle + interval * probes < Settings().heartbeat_seconds


def test_table_of_heartbeats_says_what_is_computed() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    rows = re.findall(r"^\| (\d+) s \| (\d+) s \| (\d+) s \| (\d+) s \| (\d+) s \|", text, re.MULTILINE)
    assert [int(row[0]) for row in rows] == [5, 15, 30, 120]
    for heartbeat, *told in (map(int, row) for row in rows):
        keepalive = keepalive_for(heartbeat)
        computed = [keepalive.idle_seconds, keepalive.interval_seconds, keepalive.user_timeout_seconds]
        assert told == [*computed, round(keepalive.gone_after_seconds(heartbeat))]
