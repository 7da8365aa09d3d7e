"""Settings for all tests."""

from __future__ import annotations

import pytest

# The contract's asserts are shipped, and explained by pytest all the same.
pytest.register_assert_rewrite("app.flask_simulcast.testing")

# A file goes to one process, so the run lasts at least as long as a long file that begins last. These take 40 to 90 s each.
_LONGEST_FILES = (
    "faults/test_p06_joins.py",
    "faults/test_p05_no_silent_gap.py",
    "integration/test_openapi.py",
    "integration/test_metrics.py",
    "integration/test_agent.py",
    "faults/test_p03_p04_exactly_once.py",
    "e2e/test_hosts.py",
    "integration/test_memory_alone.py",
    "e2e/test_cors.py",
    "e2e/test_page.py",
    "integration/test_drain.py",
    "integration/test_ops.py",
    "faults/test_presence.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files. The order within a file stays."""
    items.sort(key=lambda item: not item.path.as_posix().endswith(_LONGEST_FILES))
