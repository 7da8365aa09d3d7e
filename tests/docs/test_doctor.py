"""docs/doctor.md: its commands are run beside a server, its lines are those that the doctor writes, its table is the doctor's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.flask_simulcast.cli.doctor import doctor
from app.flask_simulcast.doctor.faults import FAULTS
from app.flask_simulcast.doctor.faults import fault as planted
from app.flask_simulcast.doctor.finding import sound
from app.flask_simulcast.doctor.report import as_text
from tests.docs.page import Page
from tests.docs.reader import Reader, app_reader
from tests.tools.serving import ROOT

PAGE = Page("docs/doctor.md")
HERE = PAGE.take("The doctor", "sh")
STREAM = PAGE.take("The doctor", "sh")
SHOWN = PAGE.take("The doctor", "text")
TEXT = (ROOT / PAGE.path).read_text()

SHOP = """
from flask import Flask
from flask_simulcast import Simulcast

app = Flask(__name__)
app.config["SIMULCAST_HEARTBEAT_SECONDS"] = 1
simulcast = Simulcast(app)

@app.get("/orders/stream")
def orders():
    return simulcast.sse("orders")
"""


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with app_reader(tmp_path / "doctor", shop=SHOP) as reader:
        (reader.folder / "gunicorn.conf.py").write_text("from flask_simulcast.gunicorn import *\n")
        yield reader


def test_commands_find_nothing_wrong_beside_a_sound_server(reader: Reader) -> None:
    assert "There is no " in reader.run(HERE)
    with reader.serving("gunicorn shop:app"):
        said = reader.run(STREAM)
    assert said.splitlines()[-1].startswith("No faults, ")


def test_lines_are_as_the_doctor_writes_them() -> None:
    first, *fault, last = SHOWN.lines[1:]
    told = fault[0].split(maxsplit=2)[2]
    assert "\n".join(fault) == as_text(planted("resume_lost", told))
    for line in (SHOWN.lines[0], first, last):
        assert line == as_text(sound(*re.split("  +", line.removeprefix("ok    "), maxsplit=1)))


def test_table_is_that_of_the_doctor() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", TEXT, re.MULTILINE)
    faults = [(name, fault.check, blank(fault.wrong), blank(fault.right)) for name, fault in FAULTS.items()]
    assert rows == faults


def blank(line: str) -> str:
    return line.replace("{!r}", "…").replace("{}", "…")


def test_options_are_those_of_the_command() -> None:
    named = re.findall(r"^\| `(--\w+)", TEXT, re.MULTILINE)
    assert sorted(named) == sorted(option for each in doctor.params for option in each.opts if option.startswith("--"))
