"""docs/api.md names tests that are there, and every route that the hub has."""

from __future__ import annotations

import ast
import re

from tests.tools.serving import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text()


def functions_of(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_row_of_the_seeds_table_names_tests_that_are_there() -> None:
    rows = PAGE.partition("## From the guide to here")[2].splitlines()
    for row in rows:
        cell = row.rpartition(" | ")[2] if row.startswith("| `") else ""
        (path,) = re.findall(r"`(tests/[\w/]+\.py)`", cell) or ["tests/integration/test_seed_hub.py"]
        named = set(re.findall(r"`(test_\w+)`", cell))
        assert named <= functions_of(path), (path, named)


def test_every_test_of_the_seed_stands_in_the_table() -> None:
    tests = {name for name in functions_of("tests/integration/test_seed_hub.py") if name.startswith("test_")}
    assert tests == {name for name in tests if f"`{name}`" in PAGE}


def test_every_route_of_the_hub_stands_on_the_page() -> None:
    source = (ROOT / "app" / "features" / "hub_api" / "routes.py").read_text()
    routes = re.findall(r'@api\.(\w+)\(\s*"([^"]+)"', source)
    assert routes
    for method, rule in routes:
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"<\1>", rule).replace("<listener>", "<id>")
        assert f"`{method.upper()} {path}" in PAGE, (method, path)
