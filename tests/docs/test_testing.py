"""docs/testing.md: its tests pass in a fresh process that finds the plugin by its entry point, patched by gevent or not."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.docs.page import Page, program
from tests.docs.reader import app_reader
from tests.tools.serving import ROOT

PAGE = Page("docs/testing.md")
APP = PAGE.take("Tests of your own", "python")
FIRST = PAGE.take("A first test", "python")
PUBLISHED = PAGE.take("What was published", "python")
COMES_BACK = PAGE.take("A client that comes back, and an event that must not come", "python")
CLIENT = PAGE.take("A client of your own", "python")
SCRIPT = PAGE.take("Without pytest", "python")

TESTS = program(FIRST, PUBLISHED, COMES_BACK, CLIENT)
PYTEST = "-m pytest -p no:schemathesis -W error test_app.py"


@pytest.mark.parametrize("python", ["python", "python -m gevent.monkey --module"], ids=["unpatched", "patched"])
def test_the_tests_of_the_page_pass(tmp_path: Path, python: str) -> None:
    with app_reader(tmp_path, app=APP.text, test_app=TESTS) as reader:
        install_entry_points(tmp_path / "packages")
        command = PYTEST if python == "python" else PYTEST.removeprefix("-m ")
        output = reader.run(f"{python} {command}")
        assert f"{TESTS.count('def test_')} passed" in output
        assert not (reader.folder / "instance").exists()  # nothing but memory was used


def test_the_script_without_pytest_works(tmp_path: Path) -> None:
    with app_reader(tmp_path, app=APP.text, script=f"from app import create_app\n{SCRIPT.text}") as reader:
        reader.run("python script.py")


def install_entry_points(packages: Path) -> None:
    """What pip does with those of pyproject.toml."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    lines = [f"[{group}]\n" + "".join(f"{name} = {at}\n" for name, at in its.items()) for group, its in groups.items()]
    info = packages / "flask_simulcast-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: flask-simulcast\nVersion: 0\n")
    (info / "entry_points.txt").write_text("\n".join(lines))
