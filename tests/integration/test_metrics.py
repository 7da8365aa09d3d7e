"""``/metrics`` over several real workers: right whichever answers, and never less than before."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.tools.clients import SSEClient
from tests.tools.serving import Server, serve, wait_until

APP = "tests.apps.operated:app"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"


def scrape(server: Server) -> dict[str, float]:
    """``{"simulcast_listeners": 1.0, "simulcast_gaps_total{reason=lost}": 0.0}``.

    A worker gives its disk half a second; on a busy machine it may have to say that one should come back in a second.
    """
    status, headers, body = wait_until(lambda: answer(server), 5, "the figures")
    assert status == 200, body
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = {}
    for family in parse_text(body.decode()):
        for name, labels, value, *_ in family.samples:
            shown = ",".join(f"{label}={text}" for label, text in sorted(labels.items()))
            samples[f"{name}{{{shown}}}" if shown else name] = value
    return samples


def answer(server: Server) -> tuple[int, dict[str, str], bytes] | None:
    """Return None if the server asks to try later."""
    status, headers, body = server.request("GET", "/metrics")
    return None if (status, headers.get("retry-after")) == (503, "1") else (status, headers, body)


def publish(server: Server, channel: str = "a", count: int = 1) -> None:
    status, _, body = server.request("POST", f"/publish/{channel}?count={count}", b"x")
    assert status == 201, body


@contextlib.contextmanager
def listeners(server: Server, count: int, path: str = "/listen/a") -> Iterator[list[SSEClient]]:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(SSEClient(server.port, path)) for _ in range(count)]
        for client in clients:
            client.until("connected")
        yield clients


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serve(tmp_path, workers=2, app=APP, drain_seconds=0.2) as server:
        wait_until(lambda: scrape(server)["simulcast_workers"] == 2)
        yield server


def settled(server: Server, name: str, value: float) -> dict[str, float]:
    """Scrape until a figure is so: at most a second later all workers have written it down, but new ones start first."""
    return dict(wait_until(lambda: (now := scrape(server)).get(name) == value and now, 15, f"{name} to be {value}"))


@pytest.mark.alone
def test_every_worker_tells_of_all_of_them(server: Server) -> None:
    with listeners(server, 12) as clients:
        for _ in range(20):
            publish(server)
        for client in clients:
            client.take(20, "message")
        settled(server, "simulcast_events_delivered_total", 240)
        for _ in range(20):  # whichever answers
            assert server.request("GET", "/metrics")[0] == 200, "at once"
            now = scrape(server)
            assert now["simulcast_listeners"] == 12
            assert now["simulcast_listeners_added_total"] == 12
            assert now["simulcast_events_published_total"] == 20
            assert now["simulcast_events_delivered_total"] == 240
            assert now["simulcast_publish_seconds_count"] == 20
            assert now["simulcast_publish_seconds_bucket{le=+Inf}"] == 20
            assert 20 <= now["simulcast_delivery_seconds_count"] <= 40  # an audience in each worker, batches perhaps
            assert 0 < now["simulcast_deliveries_total"] <= 240
            assert 0 <= now["simulcast_lag_seconds"] < 5
    now = settled(server, "simulcast_listeners", 0)
    assert now["simulcast_listener_closed_total{reason=client_gone}"] == 12


def test_what_goes_wrong_is_counted_by_its_reason(server: Server) -> None:
    with SSEClient(server.port, "/listen/a", last_event_id="no position") as client:
        assert client.until("gap").json["reason"] == "invalid"
    publish(server, "spoiled")
    assert server.request("GET", "/boom")[0] == 500
    now = settled(server, "simulcast_gaps_total{reason=invalid}", 1)
    now = settled(server, "simulcast_receiver_errors_total", 1)
    now = settled(server, "simulcast_request_errors_total", 1)
    assert now["simulcast_gaps_total{reason=lost}"] == 0


def test_a_full_worker_counts_whom_it_turns_away(tmp_path: Path) -> None:
    with serve(tmp_path, app=APP, max_listeners=1) as server, listeners(server, 1):
        with SSEClient(server.port, "/listen/a") as client:
            assert client.until("closed").json["reason"] == "listener_limit"
        assert scrape(server)["simulcast_listeners_refused_total{code=listener_limit}"] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGABRT])
def test_a_worker_that_ends_leaves_all_that_it_has_counted(server: Server, number: int) -> None:
    """No file is written for its last moments but by itself: the scrape comes after its end, and not a second after the count."""
    for round in (1, 2):
        old = set(server.workers)
        with listeners(server, 4):
            publish(server, count=10)
            for pid in old:
                os.kill(pid, number)
            wait_until(lambda old=old: len(now := set(server.workers)) == 2 and not now & old, 15, "new workers")
        now = settled(server, "simulcast_workers", 2)
        assert now["simulcast_events_published_total"] == 10 * round
        assert now["simulcast_listeners_added_total"] == 4 * round
        assert now["simulcast_listeners"] == 0
        closed = sum(value for name, value in now.items() if name.startswith("simulcast_listener_closed_total"))
        assert closed == 4 * round or number == signal.SIGABRT


def test_counters_never_fall_while_workers_are_killed_and_replaced(server: Server) -> None:
    before: dict[str, float] = {}
    killed = 0
    for round in range(60):
        publish(server)
        if round % 20 == 9:
            workers = server.workers
            os.kill(workers[0], signal.SIGKILL)
            killed += 1
            wait_until(lambda gone=workers[0]: len(set(server.workers) - {gone}) == 2, 15, "a new worker")
        elif round == 15:
            server.signal(signal.SIGHUP)
        with contextlib.suppress(ConnectionError):  # of a worker that is on its way out
            now = scrape(server)
            fallen = {
                name: (before[name], value)
                for name, value in now.items()
                if ("_total" in name or "_bucket" in name or "_count" in name) and value < before.get(name, 0)
            }
            assert not fallen
            before = now
    now = settled(server, "simulcast_workers", 2)
    assert killed == 3
    assert 60 - killed * 20 <= now["simulcast_events_published_total"] <= 60  # at most the last second of each
    metrics = server.folder / "instance" / "metrics"
    # The last worker may still be starting in the place of one that is on its way out.
    all_there = "two files for each worker and two of all"
    wait_until(lambda: scrape(server) and len(list(metrics.iterdir())) == 6, 15, all_there)


def test_a_killed_worker_loses_at_most_its_last_second(server: Server) -> None:
    publish(server, count=100)
    settled(server, "simulcast_events_published_total", 100)
    for pid in server.workers:
        os.kill(pid, signal.SIGKILL)
    now = settled(server, "simulcast_workers", 2)
    assert now["simulcast_events_published_total"] == 100


def test_a_frozen_worker_stops_no_scrape_and_still_counts(server: Server) -> None:
    publish(server, count=10)
    settled(server, "simulcast_events_published_total", 10)
    frozen = server.workers[0]
    os.kill(frozen, signal.SIGSTOP)
    try:
        # A connection that the frozen worker has taken would wait: only those of the other one are asked.
        answered = 0
        while answered < 5:
            with contextlib.suppress(TimeoutError), SSEClient(server.port, "/metrics", timeout=2) as client:
                answered += client.status == 200
        assert scrape(server)["simulcast_workers"] == 2
    finally:
        os.kill(frozen, signal.SIGCONT)


def test_a_file_that_is_cut_short_or_not_ours_breaks_no_scrape(server: Server) -> None:
    metrics = server.folder / "instance" / "metrics"
    (metrics / "0123456789abcdef.json").write_text('{"counts": {"events_publ')
    (metrics / "0123456789abcdef.lock").touch()
    (metrics / "notes.txt").write_text("of somebody else")
    publish(server)
    settled(server, "simulcast_events_published_total", 1)
    wait_until(lambda: scrape(server) and not (metrics / "0123456789abcdef.json").exists(), 5, "it to be folded")
    assert (metrics / "notes.txt").exists()


def test_a_folder_that_is_deleted_while_the_server_runs_comes_back(server: Server) -> None:
    publish(server)
    settled(server, "simulcast_events_published_total", 1)
    for file in (server.folder / "instance" / "metrics").iterdir():
        file.unlink()
    assert settled(server, "simulcast_workers", 2)["simulcast_events_published_total"] == 1


def test_a_new_server_begins_anew_and_deletes_nothing_that_is_not_its_own(tmp_path: Path) -> None:
    for _ in range(2):
        with serve(tmp_path, workers=2, app=APP) as server:
            assert scrape(server)["simulcast_events_published_total"] == 0
            publish(server)
            settled(server, "simulcast_events_published_total", 1)
            (tmp_path / "instance" / "metrics" / "notes.txt").write_text("of somebody else")
    assert (tmp_path / "instance" / "metrics" / "notes.txt").exists()


def test_prometheus_may_ask_for_openmetrics(server: Server) -> None:
    publish(server)
    status, headers, body = server.request("GET", "/metrics", headers={"Accept": OPENMETRICS})
    assert (status, headers["content-type"].partition(";")[0]) == (200, "application/openmetrics-text")
    names = {family.name for family in parse_openmetrics(body.decode())}  # stricter than the old one
    assert {"simulcast_build_info", "simulcast_listeners", "simulcast_publish_seconds"} <= names


def test_no_figures_at_all_are_told_from_few(tmp_path: Path) -> None:
    """One worker's counters in place of all would look like a fall; the health check goes on with what it has."""
    (tmp_path / "file").touch()
    with serve(tmp_path, workers=2, app=APP, metrics_folder=tmp_path / "file") as server:
        status, _, body = server.request("GET", "/metrics")
        assert (status, b"metrics_unavailable" in body) == (503, True)
        health = server.get_json("/healthz")
        assert (health["status"], health["workers"]) == ("ok", 1)
        assert server.log.count("Figures can't be shared") <= 2, "once for each worker"
        assert "Traceback" not in server.log
