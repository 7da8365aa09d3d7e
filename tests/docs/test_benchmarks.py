"""docs/benchmarks.md: its figures are those that the benchmark has printed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.docs.figures import check, name_of, number_of
from tests.docs.page import Page
from tests.tools.serving import ROOT

PAGE = Page("docs/benchmarks.md")
FIGURES = PAGE.take("The SQLite log", "text")
REDIS_FIGURES = PAGE.take("The Redis log", "text")
CROWD_FIGURES = PAGE.take("A crowd on one worker", "text")
PEERS_FIGURES = PAGE.take("Beside nchan and Centrifugo", "text")
OTHER_FIGURES = [
    line
    for section in ("Parked streams", "Usage and tasks", "Completions")
    for line in PAGE.take(section, "text").lines
]


def test_figures_are_those_of_the_last_benchmark() -> None:
    check(FIGURES, "latest")
    check(PEERS_FIGURES, "peers")
    check(CROWD_FIGURES, "crowd")


def test_figures_of_redis_are_rows_that_the_benchmark_has() -> None:
    """They are of a run of their own, whose results are not kept."""
    code = (ROOT / "benchmarks" / "redis.py").read_text()
    of_sqlite = {name_of(line).replace("sqlite", "redis") for line in FIGURES.lines}
    for line in REDIS_FIGURES.lines:
        name = name_of(line)
        is_there = name in of_sqlite or name.removeprefix("redis ") in of_sqlite or f'"{name}"' in code
        assert is_there or re.sub(r"\d+", "{_PUBLISHERS}", name) in code, line
        assert number_of(line) > 0


def test_figures_of_other_sections_are_rows_that_the_benchmark_has() -> None:
    """They are of a run of their own, too."""
    names = [
        name
        for module in ("fanout", "idle", "tasks", "usage", "completions")
        for name in texts_in(ROOT / "benchmarks" / f"{module}.py")
    ]
    for line in OTHER_FIGURES:
        assert any(re.fullmatch(name, name_of(line)) for name in names), line
        assert number_of(line) > 0


def texts_in(file: Path) -> Iterator[str]:
    """A pattern for each text of a module; what an f-string fills in can be anything, or nothing."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".*" for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.escape(node.value)
