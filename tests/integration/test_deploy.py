"""The files of deploy/ for any app: what they name exists, and the tools that they are for take them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.tools.require import require
from tests.tools.serving import ROOT, free_port, serve

DEPLOY = ROOT / "deploy"
PARTS = {"histogram": ("_bucket", "_sum", "_count")}
APP = """
from flask import Flask
from app.flask_simulcast import Simulcast

app = Flask(__name__, instance_path=__file__.replace("deployed.py", "instance"))
simulcast = Simulcast(app)
app.register_blueprint(simulcast.ops())
"""


def expressions_of(dashboard: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DEPLOY / "grafana.json").read_text())
    return found


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`/metrics` of an app."""
    folder = tmp_path_factory.mktemp("deployed")
    (folder / "deployed.py").write_text(APP)
    port = free_port()
    config, arguments = "python:app.flask_simulcast.gunicorn", f"-b 127.0.0.1:{port} --no-control-socket"
    with serve(folder, app="deployed:app", config=config, port=port, GUNICORN_CMD_ARGS=arguments) as server:
        yield server.request("GET", "/metrics")[2].decode()


def promtool(*arguments: str | Path, cwd: Path | None = None, given: str | None = None) -> None:
    tool = require("promtool", shutil.which("promtool"))
    done = subprocess.run([tool, *arguments], check=False, cwd=cwd, input=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", ["grafana.json", "prometheus-rules.yaml"])
def test_each_metric_that_is_named_is_in_a_live_answer(live: str, file: str) -> None:
    text = (DEPLOY / file).read_text()
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", live, re.MULTILINE))
    there = {name + part for name, type in types.items() for part in ("", *PARTS.get(type, ()))}
    named = set(re.findall(r"\bsimulcast_\w+", text))
    assert len(named) >= 8
    assert named <= there


def test_prometheus_takes_the_text_of_a_live_answer(live: str) -> None:
    promtool("check", "metrics", given=live)


def test_prometheus_takes_the_rules_and_they_fire_when_they_should() -> None:
    promtool("check", "rules", DEPLOY / "prometheus-rules.yaml")
    promtool("test", "rules", "prometheus-rules.test.yaml", cwd=DEPLOY)


def test_prometheus_takes_each_expression_of_the_dashboard(dashboard: dict[str, Any], tmp_path: Path) -> None:
    expressions = expressions_of(dashboard)
    rules = [
        {"record": f"panel:{number}", "expr": text.replace("$__rate_interval", "1m")}
        for number, text in enumerate(expressions)
    ]
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", path)


def test_panels_of_the_dashboard_have_places_of_their_own(dashboard: dict[str, Any]) -> None:
    places = [
        (x, y)
        for at in (panel["gridPos"] for panel in dashboard["panels"])
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) == 23
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))


def test_parts_of_the_kubernetes_file_find_each_other() -> None:
    deployment, service, budget, ingress = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"]
    for selector in (deployment["spec"]["selector"]["matchLabels"], service["spec"]["selector"]):
        assert selector == labels
    assert budget["spec"]["selector"]["matchLabels"] == labels
    (container,) = pod["spec"]["containers"]
    (port,) = service["spec"]["ports"]
    assert port["targetPort"] == container["ports"][0]["name"]
    backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": service["metadata"]["name"], "port": {"name": port["name"]}}
    assert {mount["name"] for mount in container["volumeMounts"]} == {row["name"] for row in pod["spec"]["volumes"]}
    grace, sleep = (
        pod["spec"]["terminationGracePeriodSeconds"],
        int(container["lifecycle"]["preStop"]["exec"]["command"][1]),
    )
    assert grace > 30 + sleep, "gunicorn's graceful_timeout"
