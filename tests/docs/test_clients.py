"""docs/clients.md: each client hears of an order, in a real browser, in curl and in Python, and comes back after a reload."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import httpx
import pytest

from tests.apps.beside_npm import FOLDER
from tests.docs.page import Page, program
from tests.docs.reader import Reader, app_reader
from tests.tools.chromium import Chromium
from tests.tools.chromium import Page as Tab
from tests.tools.fixtures import chromium_fixture
from tests.tools.require import require
from tests.tools.serving import Server, wait_until

PAGE = Page("docs/clients.md")
APP = PAGE.take("Clients", "python")
NATIVE = PAGE.take("EventSource", "js")
REACT = PAGE.take("React", "js")
CURL = PAGE.take("curl", "sh")
LINES = PAGE.take("curl", "sh")
PYTHON = PAGE.take("Python", "python")

# A page of the same origin, and no log of requests that would hide the app's own.
BLANK = """
@app.get("/")
def blank():
    return "<!doctype html><title>orders</title><div id=root></div>"
"""
# What the reader's own page does with the events.
SHOWS = "window.shown = []; const show = (all) => { shown = all; }; const add = (one) => { shown = [...shown, one]; };"
PRINTS = """
import sys
for event in listen(sys.argv[1], wait_seconds=0.2):
    print(event.event, event.data, flush=True)
"""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    files = {"app": APP.text + BLANK, "client": program(PYTHON) + PRINTS}
    with app_reader(tmp_path_factory.mktemp("clients"), **files) as reader:
        yield reader


@pytest.fixture(scope="module")
def server(reader: Reader) -> Iterator[Server]:
    with reader.serving("gunicorn -c python:flask_simulcast.gunicorn app:app") as server:
        yield server


browser = chromium_fixture()


@pytest.fixture
def tab(server: Server, browser: Chromium) -> Tab:
    return browser.open(f"http://127.0.0.1:{server.port}/")


def order(server: Server, name: str) -> None:
    assert httpx.post(f"http://127.0.0.1:{server.port}/orders", json={"name": name}, timeout=10).status_code == 201


def test_native_eventsource_shows_the_snapshot_and_what_follows(server: Server, tab: Tab) -> None:
    tab.evaluate(f"(() => {{ {SHOWS} {NATIVE.text} }})()")
    tab.wait_for("shown.length >= 1")
    order(server, "native")
    tab.wait_for("shown.at(-1).name === 'native'")


def test_hook_of_react_survives_strict_mode_and_counts_each_order_once(server: Server, tab: Tab) -> None:
    for name in ("react/umd/react.development.js", "react-dom/umd/react-dom.development.js"):
        require("react", next(map(str, FOLDER.glob(name)), None))
        tab.evaluate((FOLDER / name).read_text() + "\nnull")
    hook = REACT.replaced(
        {'import { useEffect, useState } from "react";': "const { useEffect, useState } = React;", "export ": ""}
    )
    list_of_orders = "function List() { return React.createElement('p', null, JSON.stringify(useOrders())); }"
    root = "ReactDOM.createRoot(document.getElementById('root'))"
    strict = "React.createElement(React.StrictMode, null, React.createElement(List))"
    tab.evaluate(f"(() => {{ {hook.text} {list_of_orders} {root}.render({strict}); }})()")
    shown = "JSON.parse(document.querySelector('#root p').textContent)"
    tab.wait_for(f"{shown}.length >= 1")
    for number in range(20):
        order(server, f"react-{number}")
    tab.wait_for(f"{shown}.at(-1).name === 'react-19'")
    names = [order.get("name", "") for order in tab.evaluate(shown)]
    assert [name for name in names if name.startswith("react")] == [f"react-{number}" for number in range(20)]


def test_curl_shows_the_snapshot_and_lines_for_programs(server: Server, reader: Reader) -> None:
    with reader.running(CURL) as events, reader.running(LINES) as lines:
        events.wait_for("event: snapshot")
        lines.wait_for('"connected"')
        order(server, "curl")
        assert '"name":"curl"' in events.wait_for("event: created")
        last = lines.wait_for('"type":"created"').splitlines()[-1]
        assert json.loads(last)["data"]["name"] == "curl"


def test_loop_in_python_misses_nothing_while_the_server_reloads(server: Server, reader: Reader) -> None:
    with reader.running(f"python client.py http://127.0.0.1:{server.port}/orders/live") as client:
        client.wait_for("connected")
        before = server.workers
        server.signal(signal.SIGHUP)
        wait_until(lambda: not set(before) & set(server.workers) and server.workers, 20, "the new worker")
        order(server, "python")
        client.wait_for('"name":"python"')
