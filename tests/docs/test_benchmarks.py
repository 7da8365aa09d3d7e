"""docs/benchmarks.md: its figures are those that the benchmark has printed."""

from __future__ import annotations

import json
import re

import pytest

from benchmarks.figure import HEADER
from tests.docs.page import Page
from tests.tools.serving import ROOT

PAGE = Page("docs/benchmarks.md")
FIGURES = PAGE.take("The SQLite log", "text")
REDIS_FIGURES = PAGE.take("The Redis log", "text")


def test_figures_are_those_of_the_last_benchmark() -> None:
    measured = json.loads((ROOT / "benchmarks" / "results" / "latest.json").read_text())["figures"]
    assert FIGURES.lines[0] == HEADER.rstrip()
    shown = [(name_of(line), number_of(line)) for line in FIGURES.lines[1:]]
    assert shown == [(row["name"], pytest.approx(row["value"], rel=0.005)) for row in measured]


def test_figures_of_redis_are_rows_that_the_benchmark_has() -> None:
    """They are of a run of their own, whose results are not kept."""
    code = (ROOT / "benchmarks" / "redis.py").read_text()
    of_sqlite = {name_of(line).replace("sqlite", "redis") for line in FIGURES.lines}
    for line in REDIS_FIGURES.lines:
        name = name_of(line)
        is_there = name in of_sqlite or name.removeprefix("redis ") in of_sqlite or f'"{name}"' in code
        assert is_there or re.sub(r"\d+", "{_PUBLISHERS}", name) in code, line
        assert number_of(line) > 0


def name_of(line: str) -> str:
    """The first column."""
    return line[:48].strip()


def number_of(line: str) -> float:
    """The second one; thousands are apart."""
    return float(line[49:60].replace(" ", ""))
