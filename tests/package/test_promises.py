"""docs/promises.md names a test for each promise, and each is there."""

from __future__ import annotations

import re

from tests.tools.serving import ROOT

# Files are looked for by `test_exports.py`.
PAGE = (ROOT / "docs" / "promises.md").read_text()
NAMES = re.compile(r"^def test_((?:p\d+_)+)", re.MULTILINE)


def rows() -> dict[str, list[str]]:
    """The files that each numbered promise names."""
    return {
        number: re.findall(r"`(tests/[\w/]+\.py)`", row)
        for number, row in re.findall(r"^\| (P\d+) \| (.*)$", PAGE, re.MULTILINE)
    }


def test_every_promise_has_a_test_that_bears_its_number() -> None:
    assert list(rows()) == [f"P{number}" for number in range(1, 17)]
    for number, paths in rows().items():
        named = [path for path in paths if path.startswith("tests/faults/")]
        numbers = {n for path in named for text in NAMES.findall((ROOT / path).read_text()) for n in text.split("_")}
        assert number.lower() in numbers, (number, named)


def test_every_test_of_a_promise_stands_in_its_row() -> None:
    for file in sorted((ROOT / "tests" / "faults").glob("test_*.py")):
        path = f"tests/faults/{file.name}"
        for text in NAMES.findall(file.read_text()):
            for number in text.strip("_").split("_"):
                assert path in rows()[number.upper()], (path, number)
