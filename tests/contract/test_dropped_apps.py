"""A test suite makes many apps and drops them (bug F18): everything that they had open is closed."""

from __future__ import annotations

import gc
import os
import threading
import time
from pathlib import Path

import pytest
from flask import Flask

from app.flask_simulcast import Publisher, Simulcast
from app.flask_simulcast.brokers.sqlite.doorbell import Doorbell
from app.flask_simulcast.loop import Offload, is_patched
from tests.tools.serving import wait_until

simulcast = Simulcast()


def publish_and_drop(path: Path, count: int) -> None:
    for number in range(count):
        app = Flask("shop")
        app.config["SIMULCAST_BROKER_URL"] = f"sqlite:///{path}"
        simulcast.init_app(app)
        with app.app_context():
            simulcast.publish("a", number)
        time.sleep(0.001)  # a turn for its greenlet


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_forty_apps_that_published_once_and_were_dropped_leave_no_descriptor(path: Path) -> None:
    publish_and_drop(path, 3)  # the loop's own, made once
    before = descriptors()
    publish_and_drop(path, 40)
    wait_until(lambda: descriptors() <= before, 10, "all to be given back")


def test_a_publisher_that_is_dropped_leaves_no_descriptor(path: Path) -> None:
    with Publisher.from_url(f"sqlite:///{path}", create=True) as publisher:
        publisher.publish("a", 1)
    before = descriptors()
    for _ in range(10):
        Publisher.from_url(f"sqlite:///{path}").publish("a", 2)
    wait_until(lambda: descriptors() <= before, 10, "all to be given back")


def test_the_native_thread_of_an_app_that_was_dropped_ends() -> None:
    if not is_patched():
        pytest.skip("there is none")
    thread = Offload().run(threading.get_native_id)
    wait_until(lambda: not os.path.exists(f"/proc/self/task/{thread}"), 50, "the thread to end")


def test_a_bell_that_is_dropped_is_taken_down_in_whatever_thread_it_is_collected(tmp_path: Path) -> None:
    Doorbell(str(tmp_path)).listen()
    gc.collect()
    assert list(tmp_path.iterdir()) == []
    bells = [Doorbell(str(tmp_path))]
    bells[0].listen()
    thread = threading.Thread(target=bells.clear)
    thread.start()
    thread.join()
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_child_that_drops_its_parents_bell_leaves_it_hanging(tmp_path: Path) -> None:
    if is_patched():
        pytest.skip("forks a process with a loop")
    bell = Doorbell(str(tmp_path))
    bell.listen()
    pid = os.fork()
    if not pid:
        bell.close()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert len(list(tmp_path.iterdir())) == 1
    bell.close()
    assert list(tmp_path.iterdir()) == []
