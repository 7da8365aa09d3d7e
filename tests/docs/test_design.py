"""docs/design.md: its pictures and its table name what is there, in the order that tests/tools/layers.py has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.page import Page
from tests.tools.layers import EXTENSION, LAYERS, PARTS, layer_of
from tests.tools.serving import ROOT

PAGE = Page("docs/design.md")
LAYERS_PICTURE = PAGE.take("Layers", "text")
WAY_PICTURE = PAGE.take("The way of one event", "text")
PLACES = re.findall(r"^\| [^|]+ \| `([\w/]+\.py)` \| (.+) \|$", (ROOT / PAGE.path).read_text(), re.MULTILINE)


def rows_of_picture() -> Iterator[tuple[str, list[str]]]:
    """Each row of the layers as (folder, names); the folder of a top row is empty."""
    folders = [""]
    for line in LAYERS_PICTURE.lines[1:]:  # the first is the service
        depth = (len(line) - len(line.lstrip())) // 2
        names = re.split(r"  +", line.strip())[0].split()
        yield "".join(folders[: depth + 1]), [name.removesuffix("/") for name in names]
        folders[depth + 1 :] = [names[0]] if names[0].endswith("/") else []


def drawn(folder: str) -> list[str]:
    return [name for where, names in rows_of_picture() if where == folder for name in names]


def test_layers_are_those_of_the_imports_from_the_top() -> None:
    names = drawn("")
    assert sorted(names) == sorted(set().union(*LAYERS) - {"__init__"})
    heights = [layer_of(name) for name in names]
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize("package", PARTS)
def test_parts_with_an_order_are_drawn_in_it(package: str) -> None:
    order = {name: number for number, names in enumerate(PARTS[package]) for name in names}
    heights = [order[name] for name in drawn(f"{package}/")]
    assert heights == sorted(heights, reverse=True)


def test_every_part_of_a_package_is_drawn() -> None:
    folders = sorted({where for where, _ in rows_of_picture()} - {""})
    assert {"hub/", "transports/", "brokers/", "encoding/", "transports/websocket/"} <= set(folders)
    for folder in folders:
        there = {path.stem for path in (EXTENSION / folder).iterdir() if not path.name.startswith("_")}
        assert sorted(drawn(folder)) == sorted(there), folder


def test_way_of_an_event_goes_through_functions_that_are_there() -> None:
    steps = re.findall(r"^([\w/]+\.py) +(\w+) ", WAY_PICTURE.text, re.MULTILINE)
    assert len(steps) == len([line for line in WAY_PICTURE.lines if line.strip() == "|"]) + 1
    for path, name in steps:
        assert name in functions_of(EXTENSION / path), (path, name)


def test_places_are_functions_that_are_there() -> None:
    assert len(PLACES) > 20
    for path, names in PLACES:
        (file,) = [folder / path for folder in (EXTENSION, ROOT / "app") if (folder / path).exists()]
        assert set(re.findall(r"`(\w+)`", names)) <= functions_of(file), path


def functions_of(file: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)}
