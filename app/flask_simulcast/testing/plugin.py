"""The pytest plugin. pytest loads it in every suite of the environment, so each fixture imports what it needs itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .recorder import Recorder


@pytest.fixture
def published() -> Iterator[Recorder]:
    """What the test's apps publish: published["orders"] is a list, and published.wait("orders") waits for it."""
    from .recorder import Recorder

    with Recorder() as recorder:
        yield recorder


@pytest.fixture
def simulcast_memory() -> Iterator[None]:
    """A new log in memory for this test, in each app, whatever its settings say."""
    from .memory_log import memory_log

    with memory_log():
        yield
