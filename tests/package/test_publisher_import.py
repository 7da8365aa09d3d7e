"""A program that only publishes starts without Flask and gevent (friction 27)."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

from app import flask_simulcast
from tests.tools.serving import ROOT

LOADED = (
    "import json, sys; print(json.dumps([name for name in ('flask', 'werkzeug', 'gevent') if name in sys.modules]))"
)
# The goal is 80 ms, and 70 were measured on a quiet machine, with 15 of Python itself. Of the processor: the tests beside
# this one make a process wait.
DEADLINE_SECONDS = 5 * 0.08


def loaded_after(code: str) -> list[str]:
    """Run the code in a process of its own, and return which of these packages it loaded."""
    command = [sys.executable, "-c", f"{code}\n{LOADED}"]
    done = subprocess.run(command, cwd=ROOT / "app", capture_output=True, text=True, check=True)
    loaded: list[str] = json.loads(done.stdout)
    return loaded


def cpu_seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_importing_the_publisher_loads_neither_flask_nor_gevent_in_time() -> None:
    loaded_after("from flask_simulcast import Publisher")  # writes the bytecode
    before = cpu_seconds_of_children()
    assert loaded_after("from flask_simulcast import Publisher") == []
    assert cpu_seconds_of_children() - before < DEADLINE_SECONDS


def test_publishing_plain_data_loads_no_flask_and_a_date_does(tmp_path: Path) -> None:
    publish = (
        "from datetime import date; from flask_simulcast import Publisher\n"
        f"with Publisher.from_url('sqlite:///{tmp_path}/simulcast.db', create=True) as publisher:\n"
        "    assert publisher.publish('orders', {data}).data == {text!r}\n"
    )
    assert "flask" not in loaded_after(publish.format(data="{'id': 7}", text='{"id":7}'))
    assert "flask" in loaded_after(publish.format(data="date(2026, 1, 2)", text='"Fri, 02 Jan 2026 00:00:00 GMT"'))


def test_every_name_is_there_and_no_other(tmp_path: Path) -> None:
    assert loaded_after("from flask_simulcast import *; Simulcast, Writer, signals.listener_added") != []
    assert set(flask_simulcast.__all__) <= set(dir(flask_simulcast))
    assert not hasattr(flask_simulcast, "Simulcats")
