"""The pytest plugin costs nothing where it is not used (friction 10)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.tools.serving import ROOT

UNUSED = """
import sys

def test_nothing_was_loaded():
    assert not {"blinker", "flask", "gevent", "werkzeug"} & set(sys.modules)
"""


def test_a_suite_that_does_not_use_it_loads_neither_flask_nor_gevent(tmp_path: Path) -> None:
    (tmp_path / "test_unused.py").write_text(UNUSED)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "flask_simulcast.testing.plugin", "-q"]
    environment = {"PYTHONPATH": str(ROOT / "app"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PATH": ""}
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
