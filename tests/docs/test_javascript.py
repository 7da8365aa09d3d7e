"""docs/javascript.md: the client in a page and in Node hears of an order; the states are those of the page."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.docs.page import Page, program
from tests.docs.reader import Reader, app_reader
from tests.tools.chromium import Chromium
from tests.tools.fixtures import chromium_fixture
from tests.tools.js_client import FOLDER, build_modules
from tests.tools.serving import ROOT, Server, wait_until

PAGE = Page("docs/javascript.md")
APP = PAGE.take("In a page", "python")
IN_A_PAGE = PAGE.take("In a page", "js")
VIEWS = PAGE.take("The data of a page", "js")
TABS = PAGE.take("One connection for all tabs", "js")
OFFLINE = PAGE.take("Without the network", "js")
IN_NODE = PAGE.take("In Node", "js")
TEXT = (ROOT / PAGE.path).read_text()

# A page under the policy that the text promises to be enough.
BLANK = """
@app.get("/")
def blank():
    policy = "default-src 'none'; script-src 'self'; connect-src 'self'"
    return "<!doctype html><title>orders</title><script type=module src=/page.js></script>", {
        "Content-Security-Policy": policy
    }

@app.get("/page.js")
def script():
    return open("page.js").read(), {"Content-Type": "text/javascript"}
"""
SHOWS = """
window.added = [];
window.shown = [];
window.listed = [];
console.log = (order) => (window.logged = order);
const count = () => {};
const list = (events) => (listed = events);
const add = (order) => added.push(order);
const show = (state, reason) => shown.push(state);
"""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with app_reader(tmp_path_factory.mktemp("javascript"), app=program(APP) + BLANK) as reader:
        (reader.folder / "page.js").write_text(SHOWS + program(IN_A_PAGE, VIEWS, TABS, OFFLINE))
        yield reader


@pytest.fixture(scope="module")
def server(reader: Reader) -> Iterator[Server]:
    with reader.serving("gunicorn -c python:flask_simulcast.gunicorn app:app") as server:
        yield server


browser = chromium_fixture()


def order(server: Server, **fields: object) -> None:
    assert httpx.post(f"http://127.0.0.1:{server.port}/orders", json=fields, timeout=10).status_code == 201


def test_page_gets_the_events_and_the_state(server: Server, browser: Chromium) -> None:
    tab = browser.open(f"http://127.0.0.1:{server.port}/")
    tab.wait_for("shown.at(-1) === 'live'")
    order(server, id=7)
    tab.wait_for("added.length === 1 && added[0].id === 7")
    tab.wait_for("window.logged.id === 7")
    tab.wait_for("listed.length === 1 && listed[0].type === 'created'")
    assert tab.complaints() == []


def test_loop_in_node_ends_with_the_last_order(server: Server, reader: Reader) -> None:
    (reader.folder / "node_modules").mkdir()
    (reader.folder / "node_modules/simulcast-client").symlink_to(build_modules())
    (reader.folder / "orders.mjs").write_text(IN_NODE.replaced({"8000": str(server.port)}).text)
    with reader.running("node orders.mjs") as node:
        wait_until(lambda: order(server, number=1) or "number: 1" in node.output, what="an event in Node")
        order(server, last=True)
        node.wait_for("last: true")
        wait_until(lambda: node.has_ended, what="the loop to end")


def test_table_of_states_is_the_type() -> None:
    section = TEXT.partition("## States")[2].partition("`reason` says why")[0]
    declared = re.search(r"type State = (.*);", (FOLDER / "src/status.ts").read_text())
    assert declared is not None
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == re.findall(r'"(\w+)"', declared[1])
