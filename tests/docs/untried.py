"""The only blocks of the documents that no test runs: why, and what is checked instead.

A block stands here by its page and its first line. Its page's test module takes it by `Page.take_untried`.
"""

from __future__ import annotations

UNTRIED = {
    (
        "app/flask_simulcast/README.md",
        "pip install",
    ): "no package index is asked: checked is that the extra is in pyproject.toml"
    " (tests/package/test_wheel.py builds the wheel and installs it with its extra)",
    (
        "docs/completions.md",
        ".venv/bin/pip install",
    ): "it takes 60 MB: checked is the name of the file (scripts/nightly installs it and asks the model)",
    ("docs/guide.md", "pip install"): "the same",
    (
        "examples/README.md",
        "python3 -m venv",
    ): "no package index is asked: checked is that the extra is in pyproject.toml",
    (
        "examples/README.md",
        "npm install",
    ): "no package index is asked: checked is that the versions are those that the tests have",
    (
        "docs/existing-app.md",
        "import psycopg2",
    ): "the driver is not installed: scripts/neighbours runs it, with a real PostgreSQL (tests/neighbours/test_drivers.py)",
    (
        "docs/operations.md",
        "docker build",
    ): "there is no container engine: checked are the options, against the Dockerfile"
    " (tests/package/test_dockerfile.py checks that)",
    (
        "docs/flutter.md",
        "import 'dart:async'",
    ): "there is no Dart: checked are the names of headers and events, and the statuses",
    ("docs/ios.md", "import Foundation"): "there is no Swift: the same",
}
