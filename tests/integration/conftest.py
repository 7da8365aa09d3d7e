"""Servers for integration tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.serving import Server, serve


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker, for a whole module; its app has `/inspect`."""
    folder: Path = tmp_path_factory.mktemp("server")
    with serve(folder, app="tests.apps.inspected:app") as running:
        yield running
