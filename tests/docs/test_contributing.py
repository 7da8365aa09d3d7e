"""CONTRIBUTING.md: it names every script, and files that are there."""

from __future__ import annotations

import re

from tests.tools.serving import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text()


def test_every_script_is_named() -> None:
    assert set(re.findall(r"`scripts/([\w-]+)", TEXT)) == {path.name for path in (ROOT / "scripts").iterdir()}


def test_files_that_it_names_are_there() -> None:
    paths = re.findall(r"`((?:app|docs|tests|scripts|benchmarks)/[\w./-]*)", TEXT)
    assert len(paths) > 20
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_it_says_how_to_add_each_kind_of_part() -> None:
    added = re.findall(r"^## How to add (.*)$", TEXT, re.MULTILINE)
    assert added == ["a broker", "a feature of the service", "a transport"]
