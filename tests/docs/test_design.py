"""docs/design.md: the drawing of the layers is that of tests/tools/layers.py, and names modules that are there."""

from __future__ import annotations

import re

from tests.docs.page import Page
from tests.tools.layers import EXTENSION, LAYERS, layer_of

PAGE = Page("docs/design.md")
DRAWING = PAGE.take("Layers", "text")


def test_drawing_has_every_module_in_its_layer() -> None:
    rows = [re.split(r"  +| \{", line)[0] for line in DRAWING.lines if not line.startswith((" ", "the service"))]
    names = [name.removesuffix("/") for row in rows for name in row.split()]
    assert sorted(names) == sorted(set().union(*LAYERS) - {"__init__"})
    assert [layer_of(name) for name in names] == sorted(layer_of(name) for name in names)


def test_drawing_names_parts_that_are_there() -> None:
    there = {path.stem for path in EXTENSION.rglob("*")}
    for parts in re.findall(r"\{(.*?)\}", DRAWING.text):
        assert set(parts.split()) <= there, sorted(set(parts.split()) - there)
