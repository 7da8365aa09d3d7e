"""Imports point down only, and the extension knows nothing of the service."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import flask_simulcast
from tests.tools.layers import EXTENSION, PARTS, layer_of
from tests.tools.serving import ROOT

SERVICE = ROOT / "app"
TESTS = ROOT / "tests"

# Within a layer, as far as it goes: the errors of data, an audience's listeners.
WITHIN = {
    ("data", "errors"),
    ("event", "data"),
    ("event", "errors"),
    ("settings", "event"),
    ("settings", "rows"),
    ("rows", "errors"),
    ("settings", "url"),
    ("audience", "listener"),
    ("listener", "listen_request"),
    ("listener", "chunk_queue"),
    ("listener", "close_reason"),
}
FLASK_FROM = "transports"


def imports_of(file: Path) -> Iterator[tuple[int, str]]:
    """Every import as (level, dotted name); level 0 is absolute."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module is not None:
                yield node.level, node.module
            else:
                yield from ((node.level, alias.name) for alias in node.names)


def files_of(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*.py") if "node_modules" not in file.parts)


def noun_of(file: Path) -> str:
    return file.relative_to(EXTENSION).parts[0].removesuffix(".py")


@pytest.mark.parametrize("file", files_of(EXTENSION), ids=lambda file: str(file.relative_to(EXTENSION)))
def test_a_module_imports_lower_layers_only(file: Path) -> None:
    noun = noun_of(file)
    depth = len(file.relative_to(EXTENSION).parts)
    for level, name in imports_of(file):
        assert not (level == 0 and name.split(".")[0] in ("app", "flask_simulcast")), "inside, imports are relative"
        if level < depth:
            continue  # another package, or a part of this one
        target = name.split(".")[0]
        down = layer_of(target) < layer_of(noun) or target == noun or (noun, target) in WITHIN
        assert down, f"{noun} must not know {target}"


@pytest.mark.parametrize("file", files_of(EXTENSION), ids=lambda file: str(file.relative_to(EXTENSION)))
def test_flask_is_known_from_the_transports_up(file: Path) -> None:
    knows_flask = any(level == 0 and name.split(".")[0] in ("flask", "werkzeug") for level, name in imports_of(file))
    assert not knows_flask or layer_of(noun_of(file)) >= layer_of(FLASK_FROM)


@pytest.mark.parametrize("package", PARTS)
def test_a_part_holds_those_before_it(package: str) -> None:
    order = {name: number for number, names in enumerate(PARTS[package]) for name in names}
    for file in files_of(EXTENSION / package):
        parts = file.relative_to(EXTENSION / package).parts
        part = parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        for level, name in imports_of(file):
            if level == len(parts):  # of this package
                target = name.split(".")[0]
                assert order[target] < order[part], f"{package}/{part} must not know {target}"


# A WSGI callable; and the function of an app that sends chunks in a protocol of its own.
GIVEN_BY_OTHERS = {"start_response", "send"}


@pytest.mark.parametrize("place", ["audience.py", "listener.py", "hub", "transports"])
def test_a_callable_that_a_constructor_takes_says_what_has_happened(place: str) -> None:
    files = files_of(EXTENSION / place) or [EXTENSION / place]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                for argument in (*node.args.args, *node.args.kwonlyargs):
                    if argument.annotation is not None and "Callable" in ast.unparse(argument.annotation):
                        is_told = argument.arg.startswith("on_") or argument.arg in GIVEN_BY_OTHERS
                        assert is_told, f"{file.name}: hold the object instead of {argument.arg}"


def test_a_listener_alone_sets_its_fields() -> None:
    """A part that changes where a listener stands calls one of its verbs, which name what has happened."""
    for file in files_of(EXTENSION):
        for node in ast.walk(ast.parse(file.read_text())):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            for target in targets:
                if isinstance(target, ast.Attribute):
                    assert not ast.unparse(target.value).endswith("listener"), f"{file.name}: {ast.unparse(target)}"


def test_the_parts_of_the_service_know_those_below() -> None:
    """A feature knows web and identity, and no other feature; web knows no feature. `identity` and `web` know each other."""
    for file in files_of(SERVICE / "features"):
        parts = file.relative_to(SERVICE / "features").parts
        for level, name in imports_of(file):
            if level == len(parts) and len(parts) > 1:
                assert name.split(".")[0] == parts[0], f"{file} reaches into another feature"
    for folder in ("web", "identity"):
        for file in files_of(SERVICE / folder):
            for level, name in imports_of(file):
                depth = len(file.relative_to(SERVICE).parts)
                assert not (level == depth and name.split(".")[0] == "features"), f"{file} knows a feature"


def test_encodings_know_no_clock_and_no_io() -> None:
    for file in [*files_of(EXTENSION / "encoding"), EXTENSION / "event.py"]:
        absolute = {name.split(".")[0] for level, name in imports_of(file) if level == 0}
        assert not absolute & {"time", "datetime", "socket", "os", "io", "gevent", "sqlite3", "random", "secrets"}, file


def test_the_service_knows_public_names_of_the_extension_alone() -> None:
    """Those of its root, and of the modules that are public."""
    public = {"__version__", "rpc", *flask_simulcast.__all__}
    for file in files_of(SERVICE):
        if file.is_relative_to(EXTENSION):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "flask_simulcast":
                _, _, module = node.module.partition(".")
                names = {module} if module else {alias.name for alias in node.names}
                assert names <= public, f"{file.name} reaches for {names - public}"


def test_every_feature_of_the_service_has_the_same_shape() -> None:
    for folder in (SERVICE / "features").iterdir():
        if (folder / "__init__.py").exists():
            assert (folder / "routes.py").exists(), folder
            assert "def init_app(app: Flask)" in (folder / "__init__.py").read_text(), folder


def test_a_suite_knows_no_other_suite() -> None:
    """What two suites need is a module of `tests/tools`, which knows no suite itself."""
    suites = {folder.name for folder in TESTS.iterdir() if (folder / "__init__.py").exists()} - {"tools", "apps"}
    for file in files_of(TESTS):
        own = file.relative_to(TESTS).parts[0]
        for _, name in imports_of(file):
            assert not name.startswith("tests.") or name.split(".")[1] not in suites - {own}, f"{file} imports {name}"


def test_every_module_says_what_it_is_for() -> None:
    for file in files_of(SERVICE):
        assert ast.get_docstring(ast.parse(file.read_text())), file
