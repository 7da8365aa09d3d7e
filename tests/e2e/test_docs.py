"""``/docs/`` in a real Chromium: the documents, their search, and the page that tries the routes; under the service's policy."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.tools.chromium import Chromium
from tests.tools.clients import SSEClient
from tests.tools.fixtures import server_fixture
from tests.tools.serving import BEARER, KEY, ROOT, Server

BUILT = ROOT / "build" / "docs"
POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; img-src 'self' data:"
# What a person types into the field; the search listens to keys.
TYPE = """
  const field = document.querySelector("[data-md-component=search-query]");
  field.focus(); field.value = "doorbell"; field.dispatchEvent(new Event("keyup"));
"""
# What a person does to publish: gives the key, opens the route, and sends the example as it is.
PUBLISH = """(async (key) => {
  const appears = async (selector) => {
    for (;;) {
      const found = document.querySelector(selector);
      if (found) return found;
      await new Promise(requestAnimationFrame);
    }
  };
  const click = async (selector) => (await appears(selector)).click();
  await click(".btn.authorize");
  const field = await appears("#auth-bearer-value");
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(field, key); // React watches the element's own
  field.dispatchEvent(new Event("input", {bubbles: true}));
  await click(".auth-container .authorize[type=submit]");
  await click(".auth-container .btn-done");
  const route = "#operations-hub_api-hub_api_publish ";
  for (const part of [".opblock-summary-control", ".try-out__btn", ".execute"]) await click(route + part);
  return (await appears(route + ".live-responses-table tbody .response-col_status")).textContent;
})"""

server = server_fixture()


@pytest.fixture(scope="module")
def built() -> Iterator[None]:
    """The documents, built once, as a reader builds them."""
    subprocess.run([ROOT / "scripts" / "docs"], check=True, timeout=100)
    yield


def test_clone_that_has_not_built_them_says_how(server: Server) -> None:
    aside = BUILT.with_name("docs-aside")
    shutil.rmtree(aside, ignore_errors=True)
    if BUILT.exists():
        BUILT.rename(aside)
    try:
        status, _, page = server.request("GET", "/docs/guide/")
        assert status == 404
        assert b"<code>scripts/docs</code>" in page
        assert server.request("GET", "/docs/openapi/")[0] == 200
    finally:
        if aside.exists():
            aside.rename(BUILT)


@pytest.mark.usefixtures("built")
def test_a_page_loads_and_its_search_finds_a_word(server: Server, chromium: Chromium) -> None:
    page = chromium.open(f"http://127.0.0.1:{server.port}/docs/design/")
    assert page.evaluate("document.querySelector('h1').textContent").startswith("The design")
    page.evaluate(TYPE)
    page.wait_for("document.querySelector('.md-search-result__link')?.href.includes('/docs/design/')", 20)
    assert page.evaluate("document.querySelector('.md-search-result').textContent").lower().count("doorbell") >= 1
    assert page.complaints() == []


@pytest.mark.usefixtures("built")
def test_every_link_between_pages_and_to_the_routes_leads_somewhere(server: Server, chromium: Chromium) -> None:
    page = chromium.open(f"http://127.0.0.1:{server.port}/docs/")
    links = page.evaluate(
        "[...new Set([...document.querySelectorAll('a[href]')].map((a) => a.href.split('#')[0]))]"
        ".filter((link) => link.startsWith(location.origin))"
    )
    assert len(links) > 20
    assert any(link.endswith("/docs/openapi/") for link in links)
    statuses = page.evaluate(f"Promise.all({links}.map(async (link) => [link, (await fetch(link)).status]))")
    assert [link for link, status in statuses if status != 200] == []


def test_routes_are_shown_and_the_example_of_publishing_works(server: Server, chromium: Chromium) -> None:
    page = chromium.open(f"http://127.0.0.1:{server.port}/docs/openapi/")
    operations = [operation for path in server.get_json("/openapi.json")["paths"].values() for operation in path]
    page.wait_for(f"document.querySelectorAll('.opblock').length === {len(operations)}", 20)
    with SSEClient(server.port, "/api/v1/stream?channel=news", headers=BEARER) as client:
        client.until("connected")
        assert page.evaluate(f"{PUBLISH}('{KEY}')") == "201"
        assert client.until("message").json == {"text": "hello"}
    assert page.complaints() == []


def test_a_complaint_of_the_browser_is_heard(server: Server, chromium: Chromium) -> None:
    """Otherwise the tests above could not fail."""
    page = chromium.open(f"http://127.0.0.1:{server.port}/docs/openapi/")
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {textContent: '1'}))")
    assert "Content Security Policy" in str(page.complaints())


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/docs", 308),
        ("/docs/guide", 302),
        ("/docs/search/search_index.json", 200),
        ("/docs/nothing", 404),
        ("/docs/..%2f..%2fwsgi.py", 404),
        ("/docs/%2e%2e/%2e%2e/wsgi.py", 404),
        ("/docs/%00", 404),
        ("/docs/" + "a" * 3000, 404),
    ],
)
def test_files_of_the_documents_are_served_and_no_others(server: Server, path: str, status: int) -> None:
    answered, headers, _ = server.request("GET", path)
    assert answered == status
    if status == 200:
        assert headers["content-security-policy"] == POLICY
