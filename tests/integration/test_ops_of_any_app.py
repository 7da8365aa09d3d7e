"""`Simulcast.ops` in an app of one's own, with two workers: patched by gevent, and threads that are not patched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.clients import SSEClient
from tests.tools.serving import Server, free_port, serve, wait_until

APP = """
from flask import Flask, request
from app.flask_simulcast import Simulcast

app = Flask(__name__, instance_path=__file__.replace("any_app.py", "instance"))
simulcast = Simulcast(app)
app.register_blueprint(simulcast.ops())
app.register_blueprint(simulcast.ops(token="s3cret", folder="other"), url_prefix="/token", name="token")
app.register_blueprint(
    simulcast.ops(may_read=lambda: request.args.get("user") == "admin", folder="third"), url_prefix="/own", name="own"
)

@app.get("/stream")
def stream():
    return simulcast.sse("a")
"""


@pytest.fixture(scope="module", params=["gevent", "gthread"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("any")
    (folder / "any_app.py").write_text(APP)
    port = free_port()
    arguments = f"-b 127.0.0.1:{port} --no-control-socket -k {request.param} -w 2 --threads 16"
    config = "python:app.flask_simulcast.gunicorn"
    with serve(folder, app="any_app:app", config=config, port=port, workers=2, GUNICORN_CMD_ARGS=arguments) as running:
        yield running


def figures(server: Server, path: str = "/metrics") -> dict[str, float]:
    status, headers, body = server.request("GET", path)
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return {name: float(value) for name, value in re.findall(r"^(simulcast_\S+) (\S+)$", body.decode(), re.MULTILINE)}


def test_metrics_are_those_of_both_workers(server: Server) -> None:
    wait_until(lambda: figures(server)["simulcast_workers"] == 2, 10, "both workers")
    clients = [SSEClient(server.port, "/stream") for _ in range(6)]
    for client in clients:
        client.until("connected")
    for _ in range(2):  # whichever of the workers answers
        wait_until(lambda: figures(server)["simulcast_listeners"] == 6, 10, "six listeners")
    assert figures(server)['simulcast_answers_total{status="200"}'] >= 6
    for client in clients:
        client.close()
    wait_until(lambda: figures(server)["simulcast_listeners"] == 0, 20, "none")


def test_the_rule_says_which_requests_may_read_the_metrics(server: Server) -> None:
    def status(path: str, **headers: str) -> int:
        return server.request("GET", path, headers=headers)[0]

    assert status("/metrics", **{"X-Forwarded-For": "10.0.0.7"}) == 403
    assert status("/token/metrics") == 401
    assert status("/token/metrics", Authorization="Bearer wrong") == 401
    assert status("/token/metrics", Authorization="Bearer s3cret") == 200
    assert status("/own/metrics") == 403
    assert status("/own/metrics?user=admin") == 200
    assert status("/healthz", **{"X-Forwarded-For": "10.0.0.7"}) == 200


def test_health_and_readiness_are_for_all(server: Server) -> None:
    assert server.get_json("/healthz") == {"status": "ok"}
    ready = server.get_json("/readyz")
    assert ready["status"] == "ok"
    assert re.fullmatch(r"\d+-\d+-[0-9a-f]+", ready["position"])
