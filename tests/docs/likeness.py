"""Is what a page shows what the server says? Ids, times and figures differ from one run to the next; all else must not."""

from __future__ import annotations

import re
from typing import Any

_CHANGING = [
    (re.compile(r"\d{13}-\d+-[0-9a-f]{8}"), "POSITION"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "ID"),
    (re.compile(r"\b\d{13}\b"), "MILLISECONDS"),
]


def settled(text: str) -> str:
    """The text with a word for each position, id and time in it."""
    for pattern, word in _CHANGING:
        text = pattern.sub(word, text)
    return text


def assert_alike(shown: Any, real: Any, path: str = "") -> None:
    """Both have the same keys, and values of the same kind; texts are equal except for ids and times.

    An ellipsis at the end of a shown text stands for the rest of it.
    """
    if isinstance(shown, dict):
        assert isinstance(real, dict), f"{path}: {real!r}"
        assert set(shown) == set(real), f"{path}: the page shows {list(shown)}, there is {list(real)}"
        for key, value in shown.items():
            assert_alike(value, real[key], f"{path}.{key}")
    elif isinstance(shown, list):
        assert isinstance(real, list), f"{path}: {real!r}"
        assert len(shown) == len(real), f"{path}: the page shows {len(shown)}, there are {len(real)}"
        for number, pair in enumerate(zip(shown, real, strict=True)):
            assert_alike(*pair, f"{path}[{number}]")
    elif isinstance(shown, bool | None):
        assert shown is real, f"{path}: the page shows {shown}, there is {real}"
    elif isinstance(shown, int | float):
        assert isinstance(real, int | float), f"{path}: the page shows a number, there is {real!r}"
        assert not isinstance(real, bool), path
    elif shown.endswith("…"):
        assert real.startswith(shown.removesuffix("…")), f"{path}: the page shows {shown!r}, there is {real!r}"
    else:
        assert settled(shown) == settled(real), f"{path}: the page shows {shown!r}, there is {real!r}"
