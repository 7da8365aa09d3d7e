"""Links of the documents lead to files and headings that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.page import PATHS
from tests.tools.serving import ROOT


@pytest.mark.parametrize("path", PATHS)
def test_links_lead_to_files_and_headings(path: str) -> None:
    page = ROOT / path
    for target in re.findall(r"\]\(([^)\s:]+)\)", page.read_text()):
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), f"{path} links to {target}"
        assert not anchor or anchor in anchors(file), f"{path} links to {target}"


def anchors(file: Path) -> set[str]:
    """What GitHub makes of its headings."""
    text = re.sub(r"^```.*?^```", "", file.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}
