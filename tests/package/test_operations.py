"""docs/operations.md tells of every variable that gunicorn.conf.py reads, and of no other."""

from __future__ import annotations

import re

from tests.serving import ROOT


def test_every_variable_of_gunicorn_conf_py_is_documented() -> None:
    read = re.findall(
        r"""(?:_number\(|os\.environ(?:\.get\(|\[))["']([A-Z_]+)["']""", (ROOT / "gunicorn.conf.py").read_text()
    )
    table = re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert sorted(table) == sorted(set(read))
