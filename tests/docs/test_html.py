"""docs/html.md: one row of HTML, in the pages of four libraries at once, in a real browser; and through a restart."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlencode

import pytest

from tests.docs.page import Block, Page, program
from tests.docs.reader import Reader, app_reader
from tests.tools import chromium
from tests.tools.clients import SSEClient
from tests.tools.relay import CuttingRelay
from tests.tools.require import require
from tests.tools.serving import ROOT, Server, wait_until

PAGE = Page("docs/html.md")
START = PAGE.take("HTML over the wire", "python")
HTMX = PAGE.take("htmx", "python")
HTMX_PAGE = PAGE.take("htmx", "html")
HTMX_4_PAGE = PAGE.take("htmx 4", "html")
TURBO = PAGE.take("Turbo Streams", "python")
TURBO_PAGE = PAGE.take("Turbo Streams", "html")
DATASTAR = PAGE.take("Datastar", "python")
SHELL = PAGE.take("From a shell", "sh")
DATASTAR_PAGE = PAGE.take("Datastar", "html")

INSTALLED = ROOT / "tests" / "parsers" / "node_modules"
CDN = "https://cdn.jsdelivr.net/"
#: What scripts/test has installed, by the address that the page gives it.
LIBRARIES = {
    f"{CDN}npm/htmx.org@2.0.11/": "htmx.org/",
    f"{CDN}npm/htmx-ext-sse@2.2.4/": "htmx-ext-sse/",
    f"{CDN}npm/htmx.org@4.0.1/": "htmx4/",
    f"{CDN}npm/@hotwired/turbo@8.0.23/": "@hotwired/turbo/",
    f"{CDN}gh/starfederation/datastar@1.0.1/bundles/": "datastar/starhtml/static/js/",
}
SERVE = "gunicorn -k gevent -c python:flask_simulcast.gunicorn app:app"
ITEMS = "[...document.querySelectorAll('#items > li')].map((item) => item.textContent)"
SHARP = '<b>bread</b> & "butter"'


class Shop(NamedTuple):
    reader: Reader
    server: Server
    browser: chromium.Chromium
    pages: dict[str, chromium.Page]

    def add(self, item: str) -> None:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        status, _, body = self.server.request("POST", "/items", urlencode({"item": item}).encode(), form)
        assert status == 204, body

    def show(self, *items: str) -> None:
        """Wait until each page has these items, and no other, when a user looks at it."""
        for name, page in self.pages.items():
            page.show()
            wait_until(lambda page=page: page.evaluate(ITEMS) == list(items), 15, f"{name} to show {items}")


def local(block: Block) -> str:
    """The page, with the library from this machine."""
    addresses = [address for address in LIBRARIES if address in block.text]
    for address in addresses:
        folder = INSTALLED / LIBRARIES[address]
        require(address, str(folder) if folder.is_dir() else None)
    return block.replaced({address: f"/static/npm/{LIBRARIES[address]}" for address in addresses}).text


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("html")
    with app_reader(folder, app=program(START, HTMX, TURBO, DATASTAR)) as reader:
        static = reader.folder / "static"
        static.mkdir()
        (static / "npm").symlink_to(INSTALLED)
        texts = {"htmx": HTMX_PAGE, "htmx4": HTMX_4_PAGE, "turbo": TURBO_PAGE, "datastar": DATASTAR_PAGE}
        for name, block in texts.items():
            (static / f"{name}.html").write_text(local(block))
        with reader.serving(SERVE) as server, chromium.open_chromium(folder / "chromium") as browser:
            yield Shop(
                reader,
                server,
                browser,
                {name: browser.open(f"http://127.0.0.1:{server.port}/static/{name}.html") for name in texts},
            )


def test_every_page_shows_the_list_and_each_new_row_as_text(shop: Shop) -> None:
    shop.show("milk")
    shop.add(SHARP)
    shop.show("milk", SHARP)
    for page in shop.pages.values():
        assert page.evaluate("document.querySelectorAll('#items b').length") == 0


def test_the_form_of_every_page_adds_a_row_to_all(shop: Shop) -> None:
    shown = shop.pages["htmx"].evaluate(ITEMS)
    for name, page in shop.pages.items():
        page.show()
        page.evaluate(
            f"document.querySelector('input').value = 'by {name}'; document.querySelector('form').requestSubmit()"
        )
        shown.append(f"by {name}")
        page.wait_for(f"{ITEMS}.at(-1) === 'by {name}'")
    shop.show(*shown)


def test_pages_come_back_after_a_new_worker_and_miss_nothing(shop: Shop) -> None:
    """The list of the new worker has milk alone: had a page begun anew, it would show that."""
    shown = shop.pages["htmx"].evaluate(ITEMS)
    old = shop.server.workers
    shop.server.signal(signal.SIGHUP)
    wait_until(lambda: not set(old) & set(shop.server.workers) and shop.server.workers, 20, "a new worker")
    shop.add("eggs")
    shop.show(*shown, "eggs")


def test_the_events_are_html_as_it_was_published(shop: Shop) -> None:
    with SSEClient(shop.server.port, "/items/htmx") as client:
        snapshot = client.until("message")
        assert snapshot.data.startswith('<ul id="items" hx-swap-oob="innerHTML"><li>')
        shop.reader.run(SHELL)
        assert client.until("message").data == "<li>tea</li>"


# Datastar loses what is cut in its middle.
SURE = ("htmx", "htmx4", "turbo")


def test_a_page_whose_connection_is_cut_shows_each_row_once(shop: Shop) -> None:
    items = [f"{number} {'x' * 60}" for number in range(10)]
    with CuttingRelay(shop.server.port, random.Random(19), 1000, 600) as relay:
        relay.is_cutting = False
        pages = {}
        for name in SURE:
            pages[name] = shop.browser.open(f"http://127.0.0.1:{relay.port}/static/{name}.html")
            pages[name].wait_for(f"{ITEMS}.length > 0")
        relay.is_cutting = True
        relay.block()
        relay.open()
        for item in items:
            shop.add(item)
        for name, page in pages.items():
            page.show()
            page.wait_for(f"{ITEMS}.at(-1) === '{items[-1]}'", 30)
            seen = [item for item in page.evaluate(ITEMS) if item.endswith("xx")]
            assert seen == items, name
        assert relay.cuts >= len(pages)
        for page in pages.values():
            page.close()
