"""docs/operations.md: the server is started as it says, and asked what it shows."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import yaml

from app import config
from tests.docs.likeness import assert_alike
from tests.docs.page import Page
from tests.docs.reader import PAGE_PORT, Reader, service_reader
from tests.tools.clients import SSEClient
from tests.tools.serving import BEARER, KEY, ROOT, Server, wait_until

PAGE = Page("docs/operations.md")
SERVE = PAGE.take("gunicorn", "sh")
BEHIND_NGINX = PAGE.take("nginx", "sh")
CONTAINER = PAGE.take_untried("Container", "sh")
HEALTH = PAGE.take("Health", "json")
SCRAPE = PAGE.take("Metrics", "yaml")
ALERTS = PAGE.take("Metrics", "promql")
LOG_LINE = PAGE.take("Logs", "text")
BACK_UP = PAGE.take("The log of events: back up, move, delete", "sh")

STAMP = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000\] \[\d+\]")


class Service(NamedTuple):
    reader: Reader
    server: Server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"SIMULCAST_PUBLISH_KEY": KEY, "SIMULCAST_ANONYMOUS_CHANNELS": "*", "TZ": "UTC"}
    with service_reader(tmp_path_factory.mktemp("operations"), **settings) as reader:
        with reader.serving(SERVE) as server:
            yield Service(reader, server)


def test_health_is_as_shown(service: Service) -> None:
    assert_alike(json.loads(HEALTH.text), service.server.get_json("/healthz"))


def test_prometheus_is_sent_to_the_port_that_is_the_default(service: Service) -> None:
    (job,) = yaml.safe_load(SCRAPE.text)["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"127.0.0.1:{PAGE_PORT}"]}]
    assert f'"127.0.0.1:{PAGE_PORT}"' in (ROOT / "gunicorn.conf.py").read_text()
    assert service.server.request("GET", "/metrics")[0] == 200  # Prometheus' own path where none is given


def test_alerts_are_about_metrics_and_labels_that_there_are(service: Service) -> None:
    text = service.server.request("GET", "/metrics")[2].decode()
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    for line in ALERTS.lines:
        names = re.findall(r"simulcast_\w+", line)
        assert names, line
        for name in names:
            kind = types.get(name) or types.get(name.removesuffix("_bucket"))
            assert kind is not None, f"there is no {name}"
            counts = name.endswith(("_total", "_bucket"))
            assert counts == (kind in ("counter", "histogram")), f"{name} is a {kind}"
            assert counts == (f"{name}[" in re.sub(r"\{.*?\}", "", line)), f"{name} is a {kind}: rate() or not"
    for name, label in re.findall(r"(simulcast_\w+)\{(\w+)", ALERTS.text):
        page = (ROOT / PAGE.path).read_text()
        assert f"`{name.removeprefix('simulcast_')}{{{label}}}`" in page, (name, label)


def test_line_of_a_stream_is_as_shown(service: Service) -> None:
    with SSEClient(service.server.port, "/api/v1/stream?channel=a") as client:
        client.until("connected")
        service.server.publish("a", 1)
        client.until("message")
    line = wait_until(
        lambda: [line for line in service.server.log.splitlines() if "flask_simulcast.streams" in line], 10, "the line"
    )[0]
    (shown,) = LOG_LINE.lines
    assert STAMP.match(shown)
    assert STAMP.match(line), line
    shown_start, _, shown_json = shown.partition("streams: ")
    start, _, written = line.partition("streams: ")
    assert STAMP.sub("", shown_start) == STAMP.sub("", start)
    assert_alike(json.loads(shown_json) | {"user": ""}, json.loads(written))


def test_backup_while_it_runs_has_what_was_published(service: Service) -> None:
    service.server.publish("kept", {"n": 1})
    service.reader.run(BACK_UP)
    with sqlite3.connect(service.reader.folder / "backup.db") as copy:
        (count,) = copy.execute("SELECT count(*) FROM events").fetchone()
    copy.close()
    assert count >= 1
    assert service.server.get_json("/api/v1/channels/kept/history", BEARER)["events"]


def test_variables_behind_nginx_are_those_of_the_unit_and_of_nginx() -> None:
    words = shlex.split(BEHIND_NGINX.text)
    assert words[0] == "export"
    given = dict(word.split("=") for word in words[1:])
    unit = re.search(r"^Environment=(BIND=.*)$", (ROOT / "deploy" / "simulcast.service").read_text(), re.MULTILINE)
    assert unit is not None
    assert set(unit[1].split()) <= set(words)
    deployed = (ROOT / "deploy" / "nginx.conf").read_text()
    assert f"server {given.pop('BIND')};" in deployed
    assert f"server_name {given['SIMULCAST_TRUSTED_HOSTS']} " in deployed
    config.read(given)  # which refuses a name that it does not know


def test_options_of_docker_fit_the_dockerfile() -> None:
    build, export, run = (shlex.split(line) for line in CONTAINER.lines)
    assert build == ["docker", "build", "-t", run[-1], "."]
    dockerfile = (ROOT / "Dockerfile").read_text()
    options = list(zip(run[2:-1:2], run[3:-1:2], strict=True))
    (ports,) = (value for option, value in options if option == "-p")
    (volume,) = (value for option, value in options if option == "-v")
    assert f"0.0.0.0:{ports.split(':')[1]}" in dockerfile
    assert f"VOLUME {volume.split(':')[1]}" in dockerfile
    handed_on = [value for option, value in options if option == "-e"]
    assert handed_on == [word.partition("=")[0] for word in export if word.startswith("SIMULCAST_")]
    config.read(dict.fromkeys(handed_on, KEY))  # which refuses a name that it does not know
