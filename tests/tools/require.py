"""What a test needs of the machine."""

from __future__ import annotations

import os

import pytest


def require(tool: str, path: str | None) -> str:
    """The path of a tool that a test needs. Without it the test is skipped on a laptop, and fails in CI."""
    if path is not None:
        return path
    message = f"{tool} is not installed; scripts/test installs it"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
