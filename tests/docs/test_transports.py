"""docs/transports.md: its figures are those of a run of ``./scripts/bench transports --name transports``."""

from __future__ import annotations

from tests.docs.figures import check
from tests.docs.page import Page

PAGE = Page("docs/transports.md")
FIGURES = PAGE.take("Figures", "text")


def test_figures_are_those_of_the_last_benchmark() -> None:
    check(FIGURES, "transports")
