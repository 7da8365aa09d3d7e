"""The page of tasks: a bar that survives a reload, a cancel, a file that comes back compressed; and refusals in words."""

from __future__ import annotations

import json

from app.identity.tokens import mint
from tests.tools.chromium import Chromium, Page
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY, call
from tests.tools.serving import Server

server = server_fixture(workers=2, jwt_key=JWT_KEY)

FIRST = "document.querySelector('#rows li')"
COUNTS_STREAMS = """
window.opened = 0;
const real = window.fetch;
window.fetch = (url, ...rest) => {
    opened += String(url).includes("process/stream");
    return real(url, ...rest);
};
"""


def come_in(chromium: Chromium, server: Server, token: str) -> Page:
    page = chromium.open(f"http://127.0.0.1:{server.port}/tasks")
    page.wait_for("document.body.dataset.connection === 'outside'")  # it says that it needs a token
    page.evaluate(f"door.elements.token.value = {json.dumps(token)}")
    page.evaluate("door.elements.token.dispatchEvent(new Event('change'))")
    return page


def start(page: Page, kind: str, **fields: object) -> None:
    for name, value in {"kind": kind, **fields}.items():
        page.evaluate(f"door.elements.{name}.value = {json.dumps(value)}")
    page.evaluate("door.requestSubmit()")


def choose_file(page: Page, text: str) -> None:
    page.evaluate(
        "{const files = new DataTransfer();"
        f" files.items.add(new File([{json.dumps(text)}], 'a.txt')); door.elements.file.files = files.files}}"
    )


def wait_for_status(page: Page, status: str) -> None:
    page.wait_for(f"{FIRST}?.dataset.status === '{status}'", 20)


def test_bar_survives_a_reload_and_the_task_can_be_cancelled(server: Server, chromium: Chromium) -> None:
    page = come_in(chromium, server, mint(JWT_KEY, seconds=600, user="ann", publish=["tasks"]))
    page.wait_for("hint.textContent.startsWith('You have no tasks')")
    start(page, "checksum", bytes=8 << 30)
    page.wait_for(f"{FIRST}?.querySelector('progress').value > 0", 20)
    page.reload()
    page.wait_for(f"{FIRST}?.querySelector('progress').value > 0", 20)
    before = page.evaluate(f"{FIRST}.querySelector('progress').value")
    page.wait_for(f"{FIRST}.querySelector('progress').value > {before}", 20)
    page.evaluate(f"{FIRST}.querySelector('[data-part=cancel]').click()")
    wait_for_status(page, "cancelled")
    start(page, "checksum", bytes=1000)
    wait_for_status(page, "complete")
    assert "sha256" in page.evaluate(f"{FIRST}.textContent")
    assert [told for told in page.complaints() if "401" not in told] == [], "before the token was typed"


def test_file_is_counted_and_compressed_and_what_is_wrong_is_said(server: Server, chromium: Chromium) -> None:
    page = come_in(chromium, server, mint(JWT_KEY, seconds=600, user="bob", publish=["tasks"]))
    page.wait_for("hint.textContent.startsWith('You have no tasks')")
    start(page, "wordcount")
    page.wait_for("hint.textContent.startsWith('It has no file')")
    choose_file(page, "to be or not to be\n")
    start(page, "wordcount")
    wait_for_status(page, "complete")
    assert "to 2, be 2" in page.evaluate(f"{FIRST}.textContent")
    start(page, "compress")
    page.wait_for(f"{FIRST}.querySelector('[data-part=download]').hidden === false", 20)
    page.evaluate("door.elements.token.value = ''; door.elements.token.dispatchEvent(new Event('change'))")
    page.wait_for("document.querySelector('[data-part=hint]').textContent.includes('token')")
    assert page.evaluate("rows.children.length") == 0


def test_event_for_all_listeners_is_not_taken_for_one_of_a_task(server: Server, chromium: Chromium) -> None:
    """Each made the page open its stream again."""
    page = come_in(chromium, server, mint(JWT_KEY, seconds=600, user="carl", publish=["tasks"]))
    page.wait_for("hint.textContent.startsWith('You have no tasks')")
    page.evaluate(COUNTS_STREAMS)
    for type in ("progress", "complete"):
        call(server, "POST", "/broadcast", {"type": type, "data": {"progress": 1}}, status=201)
    page.wait_for("document.querySelector('[data-part=tally]').textContent.startsWith('3 events')")
    start(page, "checksum", bytes=1000)
    wait_for_status(page, "complete")
    assert page.evaluate("opened") == 1, "for the new task"
    assert [told for told in page.complaints() if "401" not in told] == [], "before the token was typed"
