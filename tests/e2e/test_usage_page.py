"""The page of usage in a real Chromium: each record once and in order, however many there are."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tests.tools.chromium import Chromium, Page
from tests.tools.fixtures import server_fixture
from tests.tools.serving import BEARER, Server

server = server_fixture(retry_ms=200)

NUMBERS = "[...document.querySelectorAll('.scroller [role=row]')].map((row) => [row.ariaRowIndex - 1, Number(row.lastChild.textContent.replaceAll(',', ''))])"
FACTS = "[...document.querySelectorAll('[data-part=loaded], [data-part=total]')].map((one) => one.textContent).join()"


def record(server: Server, numbers: Iterable[int]) -> None:
    records = [{"creditsUsed": number, "model": ("sonnet", "opus", "haiku")[number % 3]} for number in numbers]
    status, _, answer = server.request("POST", "/api/v1/usage", records, BEARER)
    assert status == 201, json.loads(answer)


def rows(page: Page) -> dict[int, int]:
    """What the page holds: the credits of each row, by its place."""
    found = page.evaluate(NUMBERS)
    assert len(found) < 80, "only rows in sight, and a few more"
    shown = dict(found)
    assert len(shown) == len(found)
    return shown


def scroll(page: Page, where: str) -> None:
    page.evaluate(
        f"new Promise((done) => {{ records.scrollTop = {where}; requestAnimationFrame(() => requestAnimationFrame(done)); }})"
    )


def test_records_from_before_and_after_are_there_once_each_in_order(server: Server, chromium: Chromium) -> None:
    record(server, range(1, 4))
    page = chromium.open(f"http://127.0.0.1:{server.port}/usage")
    page.wait_for(f"{FACTS}.includes('3 records loaded')")
    record(server, range(4, 6))
    page.wait_for(f"{FACTS}.includes('5 records loaded')")
    page.wait_for(f"{NUMBERS}.length === 5")
    assert rows(page) == {1: 5, 2: 4, 3: 3, 4: 2, 5: 1}

    for first in range(6, 20_006, 1000):
        record(server, range(first, first + 1000))
    page.wait_for(f"{FACTS}.includes('20,005 records loaded')", 30)
    for place in ("0", "records.scrollHeight / 2", "records.scrollHeight"):
        scroll(page, place)
        shown = rows(page)
        assert shown == {place: 20_006 - place for place in shown} != {}
    assert rows(page)[20_005] == 1
    assert page.complaints() == []
    check_a_page_that_begins_with_the_newest(server, chromium)


def check_a_page_that_begins_with_the_newest(server: Server, chromium: Chromium) -> None:
    """Check that older records come when the table is scrolled to them, and that new ones then do not move it."""
    page = chromium.open(f"http://127.0.0.1:{server.port}/usage")
    page.wait_for(f"{FACTS}.includes('20,005 records ·') && {FACTS}.includes('1,000 records loaded')")
    for loaded in ("2,000", "3,000"):
        scroll(page, "records.scrollHeight")
        page.wait_for(f"{FACTS}.includes('{loaded} records loaded')")
    shown = rows(page)
    assert shown == {place: 20_006 - place for place in shown} != {}
    before = page.evaluate("records.scrollTop")
    record(server, [20_006])
    page.wait_for(f"{FACTS}.includes('3,001 records loaded')")
    page.wait_for(f"records.scrollTop === {before + 32}")
    assert page.evaluate("document.title") == "Usage · Simulcast"
    assert page.complaints() == []


def test_a_token_that_is_refused_is_told_why(server: Server, chromium: Chromium) -> None:
    page = chromium.open(f"http://127.0.0.1:{server.port}/usage")
    page.evaluate("door.elements.token.value = 'wrong'; door.dispatchEvent(new Event('change'))")
    page.wait_for("document.body.dataset.connection === 'closed'")
    assert page.evaluate("document.querySelector('[data-part=hint]').textContent")
