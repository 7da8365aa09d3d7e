"""The loop thread of a process that is not patched: calls from any thread, forks, and the end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextvars import ContextVar
from pathlib import Path

import gevent
import pytest
from flask import Flask

from app.flask_simulcast import Simulcast
from app.flask_simulcast.app_state import AppState
from app.flask_simulcast.hub.hub import Hub
from app.flask_simulcast.loop import has_loop, is_patched
from app.flask_simulcast.loop_thread import in_loop
from tests.tools.serving import ROOT

pytestmark = pytest.mark.skipif(is_patched(), reason="a patched process has none")

ASKED: ContextVar[str] = ContextVar("ASKED", default="nothing")


def test_calls_run_in_one_other_thread_which_has_a_loop() -> None:
    assert not has_loop()
    assert in_loop(has_loop)
    there = {in_loop(threading.get_ident) for _ in range(3)}
    assert len(there) == 1 and threading.get_ident() not in there
    assert in_loop(lambda: in_loop(threading.get_ident)) in there, "a call from there is direct"


def test_what_a_call_raises_is_the_callers_and_the_loop_goes_on() -> None:
    for error in (ValueError("a"), SystemExit("b"), KeyboardInterrupt()):

        def fail(error: BaseException = error) -> None:
            raise error

        with pytest.raises(type(error)):
            in_loop(fail)
    assert in_loop(has_loop)


def test_a_call_has_the_context_of_its_caller() -> None:
    token = ASKED.set("something")
    assert in_loop(ASKED.get) == "something"
    ASKED.reset(token)
    assert in_loop(ASKED.get) == "nothing"


def test_calls_that_wait_do_not_wait_for_each_other() -> None:
    began = time.monotonic()
    threads = [threading.Thread(target=in_loop, args=(gevent.sleep, 0.2)) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 50 * 0.2 / 2


def test_a_forked_child_makes_a_thread_of_its_own() -> None:
    parent = in_loop(os.getpid)
    child = os.fork()
    if not child:
        os._exit(0 if in_loop(os.getpid) == os.getpid() != parent else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert in_loop(os.getpid) == parent


def test_a_forked_child_does_not_wait_for_the_thread_of_its_parent_when_it_exits() -> None:
    script = (
        "import gevent, os, sys\n"
        "from app.flask_simulcast import loop_thread\n"
        "loop_thread._LAST_CALLS_SECONDS = 60\n"
        "loop_thread.in_loop(gevent.sleep, 0)\n"
        "child = os.fork()\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if child else 7)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )
    assert (run.returncode, run.stderr) == (7, "")


def test_code_in_the_loop_can_ask_for_a_hub_that_a_thread_is_making(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, make, hubs = threading.Event(), AppState._make, []

    def make_slowly(state: AppState, app: Flask) -> Hub:
        begun.set()
        gevent.sleep(0.1)
        return make(state, app)

    def ask() -> None:
        with app.app_context():
            hubs.append(simulcast.hub)

    monkeypatch.setattr(AppState, "_make", make_slowly)
    app = Flask(__name__)
    app.config["SIMULCAST_BROKER_URL"] = "memory://"
    simulcast = Simulcast(app)
    threads = [threading.Thread(target=ask, daemon=True)]
    threads[0].start()
    assert begun.wait(5)
    threads.append(threading.Thread(target=in_loop, args=(ask,), daemon=True))
    threads[1].start()
    for thread in threads:
        thread.join(5)
    assert len(hubs) == 2 and hubs[0] is hubs[1]
    simulcast.close(app)


def test_an_app_can_publish_and_close_its_log_when_the_process_ends(tmp_path: Path) -> None:
    script = (
        "import atexit\n"
        "from flask import Flask\n"
        "from app.flask_simulcast import Simulcast\n"
        "app = Flask('app')\n"
        f"app.config['SIMULCAST_BROKER_URL'] = 'sqlite:///{tmp_path}/log.db'\n"
        "simulcast = Simulcast(app)\n"
        "def say_goodbye():\n"
        "    with app.app_context():\n"
        "        simulcast.publish('a', 2)\n"
        "    simulcast.close(app)\n"
        "atexit.register(say_goodbye)\n"
        "with app.app_context():\n"
        "    simulcast.publish('a', 1)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=10, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert not (tmp_path / "log.db-wal").exists(), "SQLite removes it with the last connection"


@pytest.mark.parametrize(
    "work",
    ["lambda: print('last')", "lambda: gevent.sleep(60)", "lambda: time.sleep(60)"],
    ids=["ends", "waits", "holds the loop"],
)
def test_the_process_ends_whatever_happens_in_the_loop(work: str) -> None:
    script = (
        "import gevent, time\n"
        "from app.flask_simulcast import loop_thread\n"
        "loop_thread._LAST_CALLS_SECONDS = 0.2\n"
        f"loop_thread.before_end({work})\n"
        "loop_thread.in_loop(gevent.sleep, 0)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=10, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert ("last" in run.stdout) == ("last" in work)
