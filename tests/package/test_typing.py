"""What the guide shows passes ``mypy --strict`` in an app of one's own (friction 16)."""

from __future__ import annotations

import subprocess
import sys

from tests.tools.serving import ROOT


def test_the_examples_of_the_guide_pass_mypy_strict() -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "tests/package/typed_shop.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
