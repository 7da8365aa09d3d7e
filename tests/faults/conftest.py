"""Fixtures: the log of each test, on every tier that it names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.tiers import Store, open_store


@pytest.hookimpl(trylast=True)  # when the longest are first
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deal the tests out: a process begins with one part of them, of which only the end may be taken over by another."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    items[:] = [item for process in range(processes) for item in items[process::processes]]


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """See `tiers.on`."""
    with open_store(request.param, tmp_path) as store:
        yield store
