"""The service behind deploy/nginx.conf: what nginx must not hold back, must notice, and must not cut."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest
from httpx_sse import EventSource, ServerSentEvent

from app.flask_simulcast.proto.simulcast.v1 import stream_pb2 as pb
from tests.tools.nginx import Nginx, serve_nginx
from tests.tools.require import require
from tests.tools.rpc import GRPC_WEB, SERVICE, enveloped
from tests.tools.serving import BEARER, ROOT, Server, serve, wait_until

ORDERS = "/api/v1/stream?channel=orders"
ROWS_A_BATCH = 64
# The service, and what a test wants to see of its inside. Rows of 400 bytes: a batch is one chunk.
PROBE = f"""
from flask import jsonify, request
from gevent.event import Event
from app.extensions import simulcast
from wsgi import app

go_on = Event()

@app.get("/listeners")
def listeners():
    return jsonify(len(simulcast.hub.listeners))

@app.get("/client")
def client():
    return jsonify(address=request.remote_addr, url=request.url)

@app.get("/rows")
def rows():
    def two_batches():
        yield from ["a" * 400] * {ROWS_A_BATCH}
        go_on.wait()
        go_on.clear()
        yield from ["b" * 400] * {ROWS_A_BATCH}
    return simulcast.json_rows("rows", two_batches())

@app.post("/rows/go-on")
def go():
    go_on.set()
    return "", 204
"""


@dataclass
class Site:
    """nginx, and gunicorn behind it."""

    nginx: Nginx
    gunicorn: Server
    socket: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """For tests that stop nothing."""
    with serve_site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture
def site_of_its_own(tmp_path: Path) -> Iterator[Site]:
    """For a test that stops its gunicorn."""
    with serve_site(tmp_path) as running:
        yield running


@contextlib.contextmanager
def serve_site(folder: Path) -> Iterator[Site]:
    """One worker, so that the probe tells of all listeners. It has answered: a TERM during its start could be lost."""
    socket = folder / "gunicorn.sock"
    with serve_probe(folder / "service", socket) as gunicorn, serve_nginx(folder / "nginx", socket) as nginx:
        with nginx.client() as client:
            assert client.get("/healthz").status_code == 200
        yield Site(nginx, gunicorn, socket)


@contextlib.contextmanager
def serve_probe(folder: Path, socket: Path) -> Iterator[Server]:
    """As behind nginx in production: a unix socket, one hop."""
    folder.mkdir(exist_ok=True)
    (folder / "probe.py").write_text(PROBE)
    with serve(folder, bind=f"unix:{socket}", app="probe:app", proxy_hops=1, rpc=1, http2=1, ACCESS_LOG="-") as server:
        yield server


@contextlib.contextmanager
def over_http1(nginx: Nginx, path: str, **headers: str) -> Iterator[Callable[[], ServerSentEvent | None]]:
    """A stream over TLS and HTTP/1.1. Call for the next event; None at its clean end."""
    fields = {"Accept": "text/event-stream"} | {name.replace("_", "-"): value for name, value in headers.items()}
    with nginx.client() as client, client.stream("GET", path, headers=fields) as response:
        assert response.http_version == "HTTP/1.1"
        assert response.status_code == 200
        events = EventSource(response).iter_sse()
        yield lambda: next(events, None)


@contextlib.contextmanager
def over_http2(nginx: Nginx, path: str) -> Iterator[Callable[[], ServerSentEvent | None]]:
    """The same over HTTP/2, by curl, which is killed at the end."""
    curl = require("curl", shutil.which("curl"))
    command = [curl, "--silent", "--no-buffer", "--http2", "--include", "--cacert", str(nginx.certificate)]
    process = subprocess.Popen([*command, nginx.url + path], stdout=subprocess.PIPE)
    try:
        lines = read_lines(process)
        assert next(lines) == "HTTP/2 200 "
        yield lambda: next_event(lines)
    finally:
        process.kill()
        process.communicate()


def read_lines(process: subprocess.Popen[bytes], seconds: float = 15) -> Iterator[str]:
    """Lines of its output, each within a deadline."""
    assert process.stdout is not None
    text = b""
    while True:
        line, end, text_after = text.partition(b"\n")
        if end:
            text = text_after
            yield line.decode().rstrip("\r")
            continue
        assert select.select([process.stdout], [], [], seconds)[0], f"nothing for {seconds} s"
        piece = os.read(process.stdout.fileno(), 65536)
        if not piece:
            return
        text += piece


def next_event(lines: Iterator[str]) -> ServerSentEvent | None:
    """From the lines of a stream whose data is one line each."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line and "data" in fields:
            return ServerSentEvent(fields.get("event"), fields["data"], fields.get("id"))
        name, _, value = line.partition(": ")
        fields[name] = value
    return None


def test_the_doctor_finds_nothing_wrong(tmp_path: Path) -> None:
    """The whole command, as an operator runs it beside the service, through TLS and a unix socket."""
    socket = tmp_path / "gunicorn.sock"
    settings = {"proxy_hops": 1, "heartbeat_seconds": 1, "trusted_hosts": "localhost"}
    with (
        serve(tmp_path / "service", bind=f"unix:{socket}", **settings) as gunicorn,
        serve_nginx(tmp_path / "nginx", socket) as nginx,
    ):
        command = [sys.executable, "-m", "flask", "--app", "wsgi", "simulcast", "doctor", nginx.url + ORDERS]
        command += ["--ca", str(nginx.certificate), "--gunicorn", f"-c {ROOT}/gunicorn.conf.py"]
        given = {f"SIMULCAST_{name.upper()}": str(value) for name, value in settings.items()}
        done = subprocess.run(
            [*command, "--websocket", nginx.url.replace("https:", "wss:") + "/ws"],
            cwd=gunicorn.folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "not looked at" not in done.stdout, done.stdout


both = pytest.mark.parametrize("listen", [over_http1, over_http2])


def listeners(client: httpx.Client) -> int:
    """How many gunicorn's worker has."""
    return int(client.get("/listeners").json())


@both
def test_events_arrive_one_by_one(site: Site, listen: Callable) -> None:
    """Each is published when the one before has arrived: one that is held back would never come."""
    with listen(site.nginx, ORDERS) as next_of:
        assert next_of().event == "connected"
        for number in range(30):
            published_at = time.monotonic()
            site.nginx.publish("orders", number)
            assert next_of().data == str(number)
            assert time.monotonic() - published_at < 1


@both
def test_a_client_that_leaves_is_noticed_at_once(site: Site, listen: Callable) -> None:
    """While nothing is sent: the heartbeat is 15 s away. The design promises 100 ms; a busy machine gets five times that."""
    with site.nginx.client() as client:
        with listen(site.nginx, ORDERS) as next_of:
            assert next_of().event == "connected"
            wait_until(lambda: listeners(client) == 1, 5, "those of other tests to be gone")
        wait_until(lambda: listeners(client) == 0, 0.5, "the listener to be gone")


@both
def test_a_reload_of_nginx_cuts_nothing(site: Site, listen: Callable) -> None:
    """The stream of before goes on, and new ones are taken by new workers."""
    with listen(site.nginx, ORDERS) as old:
        assert old().event == "connected"
        site.nginx.publish("orders", "before")
        assert old().data == '"before"'
        site.nginx.reload()
        with listen(site.nginx, ORDERS) as new:
            assert new().event == "connected"
            for number in range(10):
                site.nginx.publish("orders", number)
                assert old().data == new().data == str(number)


def test_sse_headers_pass_unchanged_and_are_not_compressed(site: Site) -> None:
    with site.nginx.client() as client, client.stream("GET", ORDERS, headers={"Accept-Encoding": "gzip"}) as response:
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert response.headers["Cache-Control"] == "no-cache, no-transform"
        assert "Content-Encoding" not in response.headers
        assert "Content-Length" not in response.headers


def test_calls_pass_by_grpc_for_programs_and_by_grpc_web_for_pages(site: Site) -> None:
    trust = grpc.ssl_channel_credentials(site.nginx.certificate.read_bytes())
    with grpc.secure_channel(f"localhost:{site.nginx.grpc_port}", trust) as channel:
        subscribe = channel.unary_stream(
            f"{SERVICE}Subscribe", pb.SubscribeRequest.SerializeToString, pb.SubscribeResponse.FromString
        )
        call = subscribe(pb.SubscribeRequest(channels=["calls"]), timeout=15)
        assert next(call).HasField("connected")
        with site.nginx.client() as client:
            body = enveloped(pb.PublishRequest(channel="calls", json="7"))
            answer = client.post(f"{SERVICE}Publish", content=body, headers={"Content-Type": GRPC_WEB} | BEARER)
        assert answer.content.endswith(b"grpc-status: 0\r\n")
        assert next(call).event.json == "7"
        call.cancel()
    with site.nginx.client() as client:
        wait_until(lambda: listeners(client) == 0, 5, "the call to be gone")


@pytest.mark.parametrize("path", ["/metrics", "/", "/healthz", "/api/v1/events"])
def test_the_port_of_calls_is_for_calls_alone(site: Site, path: str) -> None:
    """Networks that may call must not read what is for this machine."""
    with site.nginx.client() as client:
        assert client.get(f"https://localhost:{site.nginx.grpc_port}{path}").status_code == 404


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_streaming_json_arrives_batch_by_batch(site: Site, encoding: str) -> None:
    """The second batch is made when the first one has arrived."""
    with (
        site.nginx.client() as client,
        client.stream("GET", "/rows", headers={"Accept-Encoding": encoding}) as response,
    ):
        assert response.headers["Content-Type"] == "application/json"
        assert response.headers.get("Content-Encoding", "identity") == encoding
        pieces = response.iter_text()
        text = ""
        while text.count('"') < 2 + 2 * ROWS_A_BATCH:
            text += next(pieces)
        assert "b" * 400 not in text
        with site.nginx.client() as other:
            other.post("/rows/go-on")
        text += "".join(pieces)
    assert json.loads(text) == {"rows": ["a" * 400] * ROWS_A_BATCH + ["b" * 400] * ROWS_A_BATCH}


def test_nginx_and_the_service_agree_on_the_largest_body(site: Site) -> None:
    """The largest one gets through to the service, which finds no JSON in it; one byte more is refused alike."""
    largest = b" " * (4 << 20)
    transport = httpx.HTTPTransport(uds=str(site.socket))
    with httpx.Client(transport=transport, base_url="http://localhost") as direct, site.nginx.client() as client:
        answers = [
            way.post("/api/v1/events", content=body, headers=BEARER)
            for way in (direct, client)
            for body in (largest, largest + b" ")
        ]
    outcomes = [(answer.status_code, answer.json()["error"]["code"]) for answer in answers]
    assert outcomes == [(400, "not_json"), (413, "request_entity_too_large")] * 2


def test_a_file_of_a_task_may_be_larger_than_other_bodies(site: Site) -> None:
    with site.nginx.client() as client:
        form = {"data": {"kind": "wordcount"}, "files": {"file": b"word " * (1 << 20)}, "headers": BEARER}
        started = client.post("/api/v1/process", **form)
        assert started.status_code == 202, started.text
        events = client.get(f"/api/v1/process/{started.json()['task_id']}/progress", headers=BEARER).text
        assert f'"words":{1 << 20}' in events
        assert client.post("/api/v1/process/x", **form).status_code == 413, "other paths"


def test_the_client_s_address_and_the_url_are_those_in_front_of_nginx(site: Site) -> None:
    """Whatever a client says of itself, it is not believed."""
    lies = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}
    with site.nginx.client() as client:
        seen = client.get("/client", headers=lies).json()
    assert seen == {"address": "127.0.0.1", "url": f"{site.nginx.url}/client"}


def test_plain_http_is_sent_to_https(site: Site) -> None:
    response = httpx.get(f"http://localhost:{site.nginx.plain_port}{ORDERS}", trust_env=False)
    assert response.status_code == 301
    assert response.headers["Location"] == f"https://localhost{ORDERS}"


def test_a_stopping_gunicorn_says_goodbye_through_nginx(site_of_its_own: Site) -> None:
    with over_http1(site_of_its_own.nginx, ORDERS) as next_of:
        assert next_of().event == "connected"
        site_of_its_own.gunicorn.signal(signal.SIGTERM)
        goodbye = next_of()
        assert (goodbye.event, goodbye.json()) == ("closed", {"reason": "draining", "reconnect": True})
        assert next_of() is None


def test_a_restart_of_gunicorn_loses_nothing(site_of_its_own: Site, tmp_path: Path) -> None:
    """In between an EventSource is told to come back, with 200, and all others that the server is away."""
    with over_http1(site_of_its_own.nginx, ORDERS) as next_of:
        connected = next_of()
    site_of_its_own.nginx.publish("orders", "missed")
    site_of_its_own.gunicorn.stop()
    with site_of_its_own.nginx.client() as client:
        answer = client.get(ORDERS, headers={"Accept": "text/event-stream"})
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
        assert answer.text.startswith("retry: 2000\n")
        answer = client.get(ORDERS)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert answer.json()["error"]["code"] == "unavailable"
    with (
        serve_probe(tmp_path / "service", site_of_its_own.socket),
        over_http1(site_of_its_own.nginx, ORDERS, Last_Event_ID=connected.id) as next_of,
    ):
        assert [next_of().event, next_of().data] == ["connected", '"missed"']


def test_no_query_string_reaches_a_log(site_of_its_own: Site) -> None:
    """They carry tickets. Not when all is well, not when nginx answers itself, not when gunicorn is away."""
    secret = "access=s3cret"  # one that looks like a ticket, and is none, would be answered 401
    with site_of_its_own.nginx.client() as client:
        assert client.get(f"/healthz?{secret}").status_code == 200
        assert client.get(f"/nowhere?{secret}").status_code == 404
        assert client.post(f"/healthz?{secret}", content=b" " * (5 << 20)).status_code == 413
        with over_http1(site_of_its_own.nginx, f"{ORDERS}&{secret}") as next_of:
            assert next_of().event == "connected"
            site_of_its_own.gunicorn.stop()
            assert next_of().event == "closed"
        assert client.get(f"{ORDERS}&{secret}").status_code == 503
    httpx.get(f"http://localhost:{site_of_its_own.nginx.plain_port}{ORDERS}&{secret}", trust_env=False)
    site_of_its_own.nginx.stop()
    assert "/api/v1/stream" in site_of_its_own.nginx.logs
    assert "/api/v1/stream" in site_of_its_own.gunicorn.log
    assert secret not in site_of_its_own.nginx.logs + site_of_its_own.gunicorn.log
