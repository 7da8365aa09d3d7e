"""Bug F4, friction 8: a log in memory is for one worker, however the app is wrapped, and whatever started the second one."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from app.flask_simulcast.settings import INSTEAD_OF_MEMORY, Settings
from tests.tools.clients import SSEClient
from tests.tools.serving import Server, serve, together, wait_until

WRAPPED = ["bare", "proxied", "dispatched", "function", "slotted"]
REFUSAL = "memory:// with several workers: each would have a log of its own"
HOOKS = """
def post_worker_init(worker):
    from app.flask_simulcast.gunicorn import post_worker_init
    post_worker_init(worker)
"""


@pytest.mark.parametrize("options", ["", "--preload"])
@pytest.mark.parametrize("name", WRAPPED)
def test_memory_log_of_two_workers_is_refused_at_first_use_in_an_app_of_ones_own(
    tmp_path: Path, name: str, options: str
) -> None:
    """Bug F4, friction 8: plain gunicorn, no hooks; of 20 events a listener got 8 to 12."""
    with serve(tmp_path, app=f"tests.apps.own:{name}", config=None, workers=2, GUNICORN_CMD_ARGS=options) as server:
        assert server.request("GET", "/pid")[0] == 200
        for method, path in (("POST", "/publish"), ("GET", "/stream"), ("POST", "/publish")):
            assert server.request(method, path)[0] == 500
        assert f"SettingError: SIMULCAST_BROKER_URL={REFUSAL}" in server.log
        assert Settings().broker_url in INSTEAD_OF_MEMORY, "a relative path begins in the instance folder by itself"
        assert INSTEAD_OF_MEMORY in server.log


@pytest.mark.parametrize("name", WRAPPED)
def test_memory_log_of_two_workers_refuses_to_start_with_the_hooks(tmp_path: Path, name: str) -> None:
    """Bug F4: the hook looked for the app in what the server was given."""
    with pytest.raises(AssertionError, match="memory:// with 2 workers: each would have a log of its own"):
        with serve(tmp_path, app=f"tests.apps.own:{name}", workers=2):
            pass


@pytest.mark.parametrize("with_hooks", [True, False])
def test_worker_that_ttin_adds_is_refused_the_log_and_takes_nothing_from_the_first(
    tmp_path: Path, with_hooks: bool
) -> None:
    """Bug F4: gunicorn's own count of workers stays 1."""
    with serve(tmp_path, app="tests.apps.own:proxied", config=hooks(tmp_path, with_hooks)) as server:
        with SSEClient(server.port, "/stream") as client:
            client.until("connected")
            (first,) = server.workers
            server.signal(signal.SIGTTIN)
            wait_until(lambda: len(server.workers) == 2, 5, "the second worker")
            answers = {publish(server) for _ in range(40)}
            wait_until(lambda: answers.add(publish(server)) or {status for status, _ in answers} == {200, 500}, 10)
            assert {pid for status, pid in answers if status == 200} == {first}
            assert f"worker {first} of the same server has its log in memory already" in server.log
            assert client.until("message").json == first
        server.signal(signal.SIGTTOU)  # the older one goes, and the log with it
        wait_until(lambda: len(server.workers) == 1, 40, "one worker")
        (last,) = server.workers
        wait_until(lambda: publish(server) == (200, last), 5, "the other one to be alone")


@pytest.mark.parametrize("with_hooks", [True, False])
def test_worker_that_takes_the_place_of_another_has_a_log_although_the_other_still_ends_its_streams(
    tmp_path: Path, with_hooks: bool
) -> None:
    """Bug F4, the other side: without hooks the old one stays for up to 30 s, and it must not be taken for a second one."""
    with serve(tmp_path, app="tests.apps.own:proxied", config=hooks(tmp_path, with_hooks)) as server:
        for _ in range(2):
            with SSEClient(server.port, "/stream") as client:
                client.until("connected")
                (old,) = server.workers
                server.signal(signal.SIGHUP)
                wait_until(lambda old=old: set(server.workers) - {old}, 10, "a new worker")
                (new,) = set(server.workers) - {old}
                wait_until(lambda new=new: publish(server) == (200, new), 10, "the new worker to answer")
                with SSEClient(server.port, "/stream") as other:
                    other.until("connected")
                    assert publish(server) == (200, new)
                    assert other.until("message").json == new
            wait_until(lambda old=old: old not in server.workers, 10, "the old worker to go")
        assert "SettingError" not in server.log


def test_worker_that_was_killed_leaves_no_mark_behind(tmp_path: Path) -> None:
    """Bug F4, the other side."""
    with serve(tmp_path, app="tests.apps.own:bare", config=None) as server:
        status, pid = publish(server)
        assert status == 200
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: server.workers and server.workers != [pid], 10, "another worker")
        status, other = publish(server)
        assert (status, other != pid) == (200, True)


def test_two_servers_of_one_parent_do_not_know_each_other(tmp_path: Path) -> None:
    """Bug F4, the other side: what counts is the socket on which both accept."""
    with together(*(serve(tmp_path / name, app="tests.apps.own:bare", config=None) for name in "ab")) as (one, two):
        assert [publish(server)[0] for server in (one, two, one, two)] == [200] * 4


def test_worker_of_a_wrapped_service_shares_its_figures_before_its_first_scrape(tmp_path: Path) -> None:
    """Bug F4, a sibling: gunicorn.conf.py looked for the reporter in what the server was given."""
    (tmp_path / "around.py").write_text(
        "from werkzeug.middleware.proxy_fix import ProxyFix\nfrom wsgi import app as inside\napp = ProxyFix(inside)\n"
    )
    with serve(tmp_path, app="around:app", workers=4) as server:
        folder = server.folder / "instance" / "metrics"
        # Before it was ready, perhaps one question went to one of them. A worker's id has 16 digits.
        wait_until(lambda: len(list(folder.glob("?" * 16 + ".lock"))) == 4, 30, "the figures of all workers")


def hooks(folder: Path, with_hooks: bool) -> Path | None:
    """A gunicorn.conf.py of one's own."""
    if not with_hooks:
        return None
    path = folder / "own.conf.py"
    path.write_text(
        f"import os\nbind = os.environ['BIND']\nworker_class = 'gevent'\ncontrol_socket_disable = True\n{HOOKS}"
    )
    return path


def publish(server: Server) -> tuple[int, int]:
    """Status, and the pid of the worker that answered; 0 for none that did."""
    status, _, body = server.request("POST", "/publish")
    return status, json.loads(body) if status == 200 else 0
