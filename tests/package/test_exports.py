"""What is public is said in one place, documented, and the same everywhere."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from app import flask_simulcast
from app.flask_simulcast.settings import PREFIX
from app.flask_simulcast.transports.websocket import close_codes as endings
from app.settings_table import page

ROOT = Path(__file__).resolve().parent.parent.parent
EXTENSION = ROOT / "app" / "flask_simulcast"
SERVICE = ROOT / "app" / "features"
GUIDE = (ROOT / "docs" / "guide.md").read_text()
OWN = {"TYPE_CHECKING", "annotations", "import_module"}  # what the module itself works with
PUBLIC_MODULES = {"client", "cors", "errors", "hot", "metrics", "ops", "rows", "rpc", "server_log", "signals"}
NEEDS_AN_EXTRA = {"rpc"}  # so it is not in `__all__`


def test_all_is_what_is_there_and_sorted() -> None:
    names = {
        name
        for name in dir(flask_simulcast)
        if not name.startswith("_") and not inspect.ismodule(getattr(flask_simulcast, name)) and name not in OWN
    }
    assert sorted((names | PUBLIC_MODULES) - NEEDS_AN_EXTRA) == sorted(flask_simulcast.__all__)


def test_importing_all_needs_no_extra() -> None:
    code = "import sys; sys.modules |= dict.fromkeys(['google', 'redis', 'gunicorn']); from flask_simulcast import *"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT / "app", check=True)


def test_every_member_of_simulcast_stands_in_one_group_of_the_guide() -> None:
    section = GUIDE.partition("## All of `Simulcast`")[2].partition("| module |")[0]
    named = [name for row in section.splitlines() if row.startswith("|") for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == [name for name in dir(flask_simulcast.Simulcast) if not name.startswith("_")]


def test_every_public_module_stands_in_the_guide() -> None:
    named = set(re.findall(r"^\| `flask_simulcast\.(\w+)`", GUIDE, re.MULTILINE))
    assert named == PUBLIC_MODULES | {"gunicorn", "testing"}


def test_no_message_of_the_extension_names_a_route_or_a_setting_of_the_service() -> None:
    settings = {PREFIX + field.name.upper() for field in fields(flask_simulcast.Settings)}
    routes = set(re.findall(r'"(/[\w./-]{3,})', "".join(file.read_text() for file in SERVICE.rglob("*.py"))))
    assert "/api/v1" in routes
    routes -= {"/healthz", "/readyz", "/metrics"}  # those of `Simulcast.ops`
    for file in EXTENSION.rglob("*.py"):
        if file.parent.name == "client":
            continue  # it speaks to the service
        if file.name.endswith("_pb2.py"):
            continue  # generated: its texts are bytes of a schema
        for text in messages_of(file):
            foreign = set(re.findall(r"SIMULCAST_[A-Z0-9_]*[A-Z0-9]", text)) - settings
            foreign |= {route for route in routes if route in text}
            assert not foreign, f"{file.name} tells users of another app about {foreign}"


def messages_of(file: Path) -> list[str]:
    """All strings of a module but its docstrings."""
    tree = ast.parse(file.read_text())
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    strings = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [str(node.value) for node in strings if id(node) not in docstrings]


def test_the_wheel_points_to_no_page_that_it_does_not_carry() -> None:
    carried = {str(file.relative_to(EXTENSION)) for file in EXTENSION.rglob("*.md")}
    for file in EXTENSION.rglob("*.py"):
        pages = set(re.findall(r"[\w./-]+\.md\b|\bdocs/\w+", file.read_text()))
        assert pages <= carried, f"{file.name} points to {pages - carried}"


def test_everything_public_has_a_docstring() -> None:
    for name in flask_simulcast.__all__:
        thing = getattr(flask_simulcast, name)
        if inspect.isclass(thing):
            assert inspect.getdoc(thing), name
            for member, function in inspect.getmembers(thing, inspect.isfunction):
                if not member.startswith("_") and function.__module__.startswith("app.flask_simulcast"):
                    assert inspect.getdoc(function), f"{name}.{member}"


def test_the_version_is_the_newest_of_the_changelog() -> None:
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == flask_simulcast.__version__


def test_every_setting_is_documented() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == page(), "run scripts/settings-table"


def test_the_documents_link_to_what_is_there() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} points to {target}"


def test_the_documents_name_tests_that_are_there() -> None:
    for path in re.findall(r"`(tests/[\w/]+\.py)`", (ROOT / "docs" / "promises.md").read_text()):
        assert (ROOT / path).exists(), path


def test_importing_the_extension_does_not_patch_or_start_anything() -> None:
    code = (
        "import threading, sys; sys.path.insert(0, '.'); from app.flask_simulcast import Simulcast; from gevent import monkey;"
        "assert not monkey.is_module_patched('socket'); assert threading.active_count() == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_every_ending_of_a_websocket_is_documented() -> None:
    rows = re.findall(
        r"^\| (\d{4}) \| `(\w+)` \| (yes|no) \|", (ROOT / "docs" / "websocket.md").read_text(), re.MULTILINE
    )
    everything = [*endings.CLOSE_CODES.values(), *endings.OF_WEBSOCKET]
    said = {(int(code), name, come_back == "yes") for code, name, come_back in rows}
    assert said == {(ending.code, ending.name, ending.reconnect) for ending in everything}
