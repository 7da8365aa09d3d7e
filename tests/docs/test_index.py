"""docs/index.md: four groups, and each page of the folder in one of them."""

from __future__ import annotations

import re

from tests.tools.serving import ROOT

INDEX = (ROOT / "docs" / "index.md").read_text()


def test_pages_stand_in_four_groups() -> None:
    assert re.findall(r"^## (.*)$", INDEX, re.MULTILINE) == ["Start", "Guides", "Reference", "Inside"]


def test_every_page_is_listed_once() -> None:
    listed = re.findall(r"^\| \[[^\]]+\]\(([\w-]+\.md)\)", INDEX, re.MULTILINE)
    assert sorted(listed) == sorted({path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"})
