"""Fixtures: the log of each test, on every tier that it names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.tiers import Store, open_store


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """See `tiers.on`."""
    with open_store(request.param, tmp_path) as store:
        yield store
