"""The tables of figures in the documents: each is what `./scripts/bench` printed in the run whose results are kept."""

from __future__ import annotations

import json

import pytest

from benchmarks.figure import HEADER
from tests.docs.page import Block
from tests.tools.serving import ROOT


def check(figures: Block, name: str) -> None:
    """Compare a table with the results that have this name."""
    measured = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())["figures"]
    assert figures.lines[0] == HEADER.rstrip()
    shown = [(name_of(line), number_of(line)) for line in figures.lines[1:]]
    assert shown == [(row["name"], pytest.approx(row["value"], rel=0.005)) for row in measured]


def name_of(line: str) -> str:
    """The first column."""
    return line[:48].strip()


def number_of(line: str) -> float:
    """The second one; thousands are apart."""
    return float(line[49:60].replace(" ", ""))
