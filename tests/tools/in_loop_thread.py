"""pytest in the loop thread of a process that is not patched: ``python -m tests.tools.in_loop_thread tests/unit/hub``.

The hub of such a process lives there, so its tests are run there too.
"""

from __future__ import annotations

import sys

import pytest
from gevent import monkey

from app.flask_simulcast.loop_thread import in_loop

if __name__ == "__main__":
    assert not monkey.is_module_patched("socket")
    sys.exit(in_loop(pytest.main, ["-o", "timeout_method=thread", *sys.argv[1:]]))
