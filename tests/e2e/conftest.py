"""A browser for each test, with a profile of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.chromium import Chromium, open_chromium


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Chromium]:
    with open_chromium(tmp_path / "chromium") as chromium:
        yield chromium
