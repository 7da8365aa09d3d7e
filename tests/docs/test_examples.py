"""examples/README.md: each app is started, tried and seen as the page says."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.page import Page
from tests.docs.reader import Reader, app_reader
from tests.tools.chromium import Chromium, open_chromium
from tests.tools.clients import SSEClient
from tests.tools.nginx import make_certificate
from tests.tools.require import require
from tests.tools.serving import ROOT, free_port

FOLDER = ROOT / "examples"
PAGE = Page("examples/README.md")
INSTALL = PAGE.take_untried("Examples", "sh")
ORDERS = PAGE.take("Orders", "sh")
ORDER = PAGE.take("Orders", "sh")
SHIP = PAGE.take("A publisher in another process", "sh")
CHAT = PAGE.take("Chat", "sh")
SPEAK = PAGE.take("Chat", "sh")
TOKENS = PAGE.take("Tokens of a language model", "sh")
ASK = PAGE.take("Tokens of a language model", "sh")
NPM = PAGE.take_untried("A page by Connect", "sh")
BUILD = PAGE.take("A page by Connect", "sh")
SHOWN = "[...document.querySelectorAll('li')].map((item) => item.textContent).join('; ')"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """A reader in the folder of the examples, with what the page installs."""
    with app_reader(tmp_path / "reader") as reader:
        for file in FOLDER.glob("*.py"):
            shutil.copy(file, reader.folder)
        yield reader


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Chromium]:
    with open_chromium(tmp_path / "chromium", "--ignore-certificate-errors") as chromium:
        yield chromium


NODE_MODULES = {
    "@bufbuild": ROOT / "tests" / "parsers" / "node_modules",
    "@connectrpc": ROOT / "tests" / "parsers" / "node_modules",
    "esbuild": ROOT / "clients" / "js" / "node_modules",
    ".bin": ROOT / "clients" / "js" / "node_modules",
}


def test_install_names_the_project_and_all_that_the_examples_import() -> None:
    """httpx-sse does not bring httpx along: a newcomer's tokens.py did not start."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "gunicorn" in project["optional-dependencies"]
    assert INSTALL.text.splitlines()[-1].startswith("pip install -e '..[gunicorn]' ")
    imported = {
        name for file in FOLDER.glob("*.py") for name in re.findall(r"^(?:from|import) (\w+)", file.read_text(), re.M)
    }
    others = imported - sys.stdlib_module_names - {"flask", "flask_simulcast"}
    assert others == {
        name.replace("-", "_") for name in re.findall(r" '?([a-z][\w-]+)", INSTALL.text.splitlines()[-1])[1:]
    }


def test_every_example_is_short_and_listed() -> None:
    listed = re.findall(r"^\| (.*?) \|", (ROOT / PAGE.path).read_text(), re.MULTILINE)
    files = {file.name: len(file.read_text().splitlines()) for file in FOLDER.glob("*.py")}
    assert set(re.findall(r"\[(\w+\.py)\]", " ".join(listed))) == set(files)
    assert {name: lines for name, lines in files.items() if lines > 40} == {}


def test_orders_are_shown_and_a_job_ships_them(reader: Reader, chromium: Chromium) -> None:
    with reader.serving(ORDERS) as server:
        page = chromium.open(f"http://127.0.0.1:{server.port}/")
        reader.run(ORDER)
        page.wait_for(f"{SHOWN} === '7: new'")
        reader.run(SHIP)
        shipped = "7: new; 7: packed; 7: shipped"
        page.wait_for(f"{SHOWN} === '{shipped}'")
        reader.run(SHIP)  # tried again: the same events
        reader.run(ORDER.replaced({"id=7": "id=8"}))
        page.wait_for(f"{SHOWN} === '{shipped}; 8: new'")


def test_an_order_that_can_not_be_published_is_the_clients_mistake(reader: Reader) -> None:
    with reader.serving(ORDERS) as server:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert server.request("POST", "/orders", b"", form)[0] == 400
        assert server.request("POST", "/orders", b"id=" + b"7" * 70_000, form)[0] == 413


def test_two_people_chat_and_a_newcomer_sees_what_was_said(reader: Reader, chromium: Chromium) -> None:
    with reader.serving(CHAT) as server:
        ann, bob = (chromium.open(f"http://127.0.0.1:{server.port}/?user={name}") for name in ("ann", "bob"))
        for page in (ann, bob):
            page.wait_for("document.querySelector('output').textContent === 'ann, bob'")
        ann.evaluate("form.text.value = '<b>Hi</b>', form.requestSubmit()")
        bob.wait_for(f"{SHOWN} === 'ann: <b>Hi</b>'")
        reader.run(SPEAK)
        ann.wait_for(f"{SHOWN} === 'ann: <b>Hi</b>; carol: Hello'")
        with SSEClient(server.port, "/stream?user=dora") as newcomer:
            said = [block.json for block in newcomer.take(2, "message")]
            assert said == ["ann: <b>Hi</b>", "carol: Hello"]


def test_tokens_come_one_by_one(reader: Reader) -> None:
    tokens = TOKENS.replaced({"8001": str(free_port())})
    with reader.serving(tokens), reader.running(ASK) as terminal:
        terminal.wait_for('{"token":"You "}')
        assert "[DONE]" not in terminal.output
        terminal.wait_for("data: [DONE]")
        assert terminal.output.count('{"token":"') == 11


def test_the_page_by_connect_has_the_packages_that_are_tried() -> None:
    assert NPM.lines == ["npm install --prefix rpc"]
    wanted = json.loads((FOLDER / "rpc" / "package.json").read_text())["devDependencies"]
    buf = f"@bufbuild/buf {importlib.metadata.version('buf-bin')}"
    tried = [
        f"{name} {version}"
        for folder in (ROOT / "tests" / "parsers", ROOT / "clients" / "js")
        for name, version in json.loads((folder / "package.json").read_text())["devDependencies"].items()
    ]
    assert {f"{name} {version}" for name, version in wanted.items()} <= {buf, *tried}


def test_a_page_listens_and_publishes_by_each_protocol_of_connect_web(
    reader: Reader, chromium: Chromium, tmp_path: Path
) -> None:
    require("node", shutil.which("node"))
    shutil.copytree(FOLDER / "rpc", reader.folder / "rpc", ignore=shutil.ignore_patterns("node_modules", "dist"))
    (reader.folder.parent / "app").symlink_to(ROOT / "app")
    (reader.folder / "rpc" / "node_modules").mkdir()
    for name, folder in NODE_MODULES.items():
        (reader.folder / "rpc" / "node_modules" / name).symlink_to(folder / name)
    make_certificate(tmp_path)
    files = f" --certfile {tmp_path}/simulcast.crt --keyfile {tmp_path}/simulcast.key"
    with_tls = {"GUNICORN_CMD_ARGS": reader.environment["GUNICORN_CMD_ARGS"] + files}
    with reader.serving(BUILD) as server:
        try_page(chromium, f"http://127.0.0.1:{server.port}/", "http/1.1")
    with reader.serving(BUILD.text.partition("\n")[2], **with_tls) as server:
        try_page(chromium, f"https://127.0.0.1:{server.port}/", "h2")


def try_page(chromium: Chromium, url: str, spoken: str) -> None:
    """Publish from the page, and see what it shows, by each protocol and format."""
    for number, query in enumerate(("", "?format=json", "?protocol=grpc-web", "?protocol=grpc-web&format=json")):
        page = chromium.open(url + query)
        page.wait_for("state.textContent === 'connected'", 20)
        page.evaluate(f"form = document.forms[0]; form.order.value = 'order {number}'; form.requestSubmit()")
        page.wait_for(f"({SHOWN}) === 'order {number}'", 20)
        assert page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol") == spoken
        page.close()
