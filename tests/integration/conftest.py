"""Servers for integration tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tools.fixtures import server_fixture
from tests.tools.fleet import wait_for_listeners

# One worker, for a whole module; its app has `/inspect`.
server = server_fixture(app="tests.apps.inspected:app")


@pytest.fixture(autouse=True)
def everyone_leaves(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every listener of a test at `workers` is gone before the next test begins."""
    yield
    if "workers" in request.fixturenames:
        wait_for_listeners(request.getfixturevalue("workers").one, set())
