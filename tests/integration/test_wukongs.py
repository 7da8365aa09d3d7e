"""Wukongs: real figures, once a machine, and only while somebody listens."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tests.clients import SSEClient
from tests.serving import BEARER, Server, serve

HOST_STREAM = "/api/v1/wukongs/host/stream"


def events_of(folder: Path, type: str) -> int:
    with closing(sqlite3.connect(folder / "instance" / "simulcast.db")) as db:
        return int(
            db.execute("SELECT count(*) FROM events WHERE type = ? AND channel LIKE 'wukong:%'", (type,)).fetchone()[0]
        )


def test_host_is_this_machine_each_second(server: Server) -> None:
    with SSEClient(server.port, HOST_STREAM) as client:
        connected, first, second, third = client.take(4)
        assert (connected.type, first.type, second.type) == ("connected", "status", "status")
        status = first.json
        assert (status["name"], status["kind"], status["state"]) == (status["name"], "host", "online")
        assert status["data"]["cpu_count"] == os.cpu_count()
        with Path("/proc/meminfo").open() as meminfo:
            total = int(meminfo.readline().split()[1]) * 1024
        assert status["data"]["memory_total_bytes"] == total
        assert 500 <= third.json["time"] - second.json["time"] <= 5000
        assert abs(second.json["time"] / 1000 - time.time()) < 60


def test_the_list_has_the_host_and_each_worker(tmp_path: Path) -> None:
    with serve(tmp_path, workers=2) as server:
        wukongs = server.get_json("/api/v1/wukongs")["wukongs"]
        assert [wukong["kind"] for wukong in wukongs] == ["host", "worker", "worker"]
        assert sorted(wukong["data"]["pid"] for wukong in wukongs[1:]) == sorted(server.workers)
        worker = wukongs[1]
        assert server.get_json(f"/api/v1/wukongs/worker-{worker['data']['pid']}")["name"] == worker["name"]
        rss = int(Path(f"/proc/{worker['data']['pid']}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        assert 0.5 < worker["data"]["memory_bytes"] / rss < 2
        with SSEClient(server.port, f"/api/v1/wukongs/{worker['name']}/stream") as client:
            assert client.take(2, "status")[1].json["name"] == worker["name"]


def test_an_agent_reports_and_its_listeners_see_it_fall_silent(tmp_path: Path) -> None:
    with serve(tmp_path, workers=2, wukong_stale_seconds=2) as server:
        path = "/api/v1/wukongs/press-4"
        assert server.request("GET", path)[0] == 404
        status, _, body = server.request("PUT", f"{path}/status", {"pressure_bar": 7.25, "note": "ü"}, BEARER)
        assert (status, json.loads(body)["state"]) == (200, "online")
        with SSEClient(server.port, f"{path}/stream") as client:
            assert client.until("status").json["data"] == {"pressure_bar": 7.25, "note": "ü"}
            server.request("PUT", f"{path}/status", {"pressure_bar": 8}, BEARER)
            assert client.until("status").json["data"] == {"pressure_bar": 8}
            offline = client.until("status").json
            assert (offline["state"], offline["data"]) == ("offline", {"pressure_bar": 8})
            server.request("PUT", f"{path}/status", {"pressure_bar": 9}, BEARER)
            assert client.until("status").json["state"] == "online"
        assert [wukong["name"] for wukong in server.get_json("/api/v1/wukongs")["wukongs"]][-1] == "press-4"


def test_a_bad_report_is_refused(server: Server) -> None:
    def put(name: str, body: bytes) -> tuple[int, str]:
        status, _, answer = server.request("PUT", f"/api/v1/wukongs/{name}/status", body, BEARER)
        return status, json.loads(answer).get("error", {}).get("code", "")

    assert put("a", b"[]") == (400, "not_an_object")
    assert put("a", b"{") == (400, "not_json")
    assert put("a", b'{"x":NaN}') == (400, "not_json")
    assert put("a", b'{"x":"' + b"y" * 70_000 + b'"}') == (413, "event_too_large")
    assert put("host", b"{}") == (409, "built_in")
    assert put("worker-" + str(server.workers[0]), b"{}") == (409, "built_in")
    assert put("b%20c", b"{}") == (400, "wukong_name")
    assert put("x" * 65, b"{}") == (400, "wukong_name")
    assert put("ok", b'{"lone":"\\ud800"}') == (200, "")
    assert server.get_json("/api/v1/wukongs/ok")["data"] == {"lone": "\ud800"}
    assert server.request("GET", "/api/v1/wukongs/a")[0] == 404, "a refused report leaves nothing"


def test_one_worker_samples_and_only_while_somebody_listens(tmp_path: Path) -> None:
    with serve(tmp_path, workers=2) as server:
        server.get_json("/readyz")
        assert events_of(tmp_path, "status") == 0
        clients = [SSEClient(server.port, HOST_STREAM) for _ in range(12)]
        for client in clients:
            client.until("connected")
        began = time.monotonic()
        times = [block.json["time"] for block in clients[0].take(5, "status")]
        assert all(b - a > 500 for a, b in itertools.pairwise(times[1:])), "twice as many would be two samplers"
        assert time.monotonic() - began > 2
        for client in clients:
            client.close()
        count = wait_until_constant(lambda: events_of(tmp_path, "status"))
        assert count > 0


def wait_until_constant(read: object) -> int:
    """The value, once it has not changed for two seconds."""
    value, since = read(), time.monotonic()  # type: ignore[operator]
    deadline = time.monotonic() + 15
    while time.monotonic() - since < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
        if (now := read()) != value:  # type: ignore[operator]
            value, since = now, time.monotonic()
    return int(value)


def test_when_the_sampling_worker_is_killed_another_goes_on(tmp_path: Path) -> None:
    log = f"sqlite:///{tmp_path}/shared.db"
    with (
        serve(tmp_path / "one", broker_url=log) as one,
        serve(tmp_path / "two", broker_url=log) as two,
        SSEClient(one.port, HOST_STREAM) as first,
        SSEClient(two.port, HOST_STREAM) as second,
    ):
        first.take(3, "status")  # it was the first to have a listener, so it has the lease
        second.take(3, "status")
        os.kill(one.workers[0], signal.SIGKILL)
        second.take(5, "status")


def test_the_page_has_no_outside_sources(server: Server) -> None:
    status, headers, body = server.request("GET", "/")
    assert status == 200
    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert b"//" not in body.replace(b"<!doctype html>", b"").replace(b"http://www.w3.org", b"")
    for path in (b"/static/page.js", b"/static/page.css"):
        assert path in body
        assert server.request("GET", path.decode())[0] == 200
