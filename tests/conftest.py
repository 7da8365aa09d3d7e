"""Settings for all tests."""

from __future__ import annotations

import gc
import os
import signal

import hypothesis
import pytest

# The contract's asserts are shipped, and explained by pytest all the same.
pytest.register_assert_rewrite("app.flask_simulcast.testing")

# Random fields: in CI the same fifty of a test in each run; scripts/nightly tries a thousand. A case has no deadline of its own,
# which a busy machine would miss.
hypothesis.settings.register_profile("suite", max_examples=int(os.environ.get("EXAMPLES", "50")), deadline=None)
hypothesis.settings.load_profile("suite")

# A file goes to one process, so the run lasts at least as long as a long file that begins last. These take 20 to 60 s each.
# Those that keep the cores busy and those that wait take turns.
_LONGEST_FILES = (
    "faults/test_p08_dead_clients.py",
    "faults/test_p06_joins.py",
    "faults/test_p05_no_silent_gap.py",
    "faults/test_p01_p02_killed.py",
    "integration/test_openapi.py",
    "clients/test_js_pages.py",
    "e2e/test_nginx.py",
    "integration/test_metrics.py",
    "integration/test_grants.py",
    "integration/test_memory_alone.py",
    "integration/test_gaps.py",
    "e2e/test_hosts.py",
    "integration/test_servers.py",
    "contract/test_redis_branches.py",
    "integration/test_agent.py",
    "contract/test_brokers.py",
    "integration/test_ws_console.py",
    "integration/test_wukongs.py",
    "integration/test_ws_hub.py",
    "integration/test_wrapped.py",
    "integration/test_conversations.py",
    "contract/test_redis_outages.py",
    "integration/test_hub_api.py",
    "integration/test_database.py",
    "integration/test_agent_outages.py",
    "e2e/test_page.py",
    "integration/test_drain.py",
)


# Nearly all that is made until the first test stays to the end, so no garbage collection looks at it: not then, and not later.
gc.disable()


# A shell lets what it starts in the background ignore INT, and so would all servers that are to stop by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Let garbage be collected again."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files. The order within a file stays."""
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    name = "/".join(item.path.parts[-2:])
    return _LONGEST_FILES.index(name) if name in _LONGEST_FILES else len(_LONGEST_FILES)
