"""docs/wire.md: a stream is, to the byte, what the page shows."""

from __future__ import annotations

import json

import httpx

from app.identity.tokens import mint
from tests.docs.likeness import settled
from tests.docs.page import Block, Page
from tests.tools.chromium import Chromium
from tests.tools.chromium import Page as Tab
from tests.tools.clients import SSEClient
from tests.tools.fixtures import chromium_fixture, server_fixture
from tests.tools.serving import BEARER, Server, wait_until

PAGE = Page("docs/wire.md")
STREAM = PAGE.take("A stream", "http")
CHANNEL = PAGE.take("Which channel an event is of", "js")
REFUSED = PAGE.take("Refused", "js")
LINE = PAGE.take("NDJSON", "json")
JWT_KEY = "j" * 32
PATH = "/api/v1/stream?channel=a&channel=b"  # stands in a sentence of the page


service = server_fixture(jwt_key=JWT_KEY, anonymous_channels="a,b,presence:room.*", presence_channels="room.*")


def test_stream_is_the_one_that_is_shown(service: Server) -> None:
    head, _, body = STREAM.text.partition("\n\n")
    first, *fields = head.split("\n")
    blocks = body.rstrip("\n").split("\n\n")
    with SSEClient(service.port, PATH) as client:
        connected = client.until("connected")
        service.publish("a", {"id": 7}, type="created")
        created = client.until("created")
    assert first == f"HTTP/1.1 {client.status} OK"
    for name, value in (field.split(": ") for field in fields):
        assert client.headers[name.lower()] == value
    assert [settled(block) for block in blocks] == [settled(block.text) for block in (connected, created)]


browser = chromium_fixture()


def paste(server: Server, browser: Chromium, channels: str, block: Block) -> Tab:
    """A page of the service with an EventSource, ``source``, and this block behind it. What it logs is in ``logged``."""
    tab = browser.open(f"http://localhost:{server.port}/")
    opened = f"const source = new EventSource('/api/v1/stream?{channels}');"
    tab.evaluate("window.logged = []; console.log = (...values) => logged.push(...values)")
    tab.evaluate(f"(() => {{ {opened}\n{block.text} }})()")
    return tab


def test_page_can_tell_of_which_channel_an_event_is(service: Server, browser: Chromium) -> None:
    """Friction 11: two joins could not be told apart."""
    tab = paste(service, browser, "channel=presence:room.a&channel=presence:room.b", CHANNEL)
    listed = "/api/v1/listeners?channel=presence:room.a"
    wait_until(lambda: service.get_json(listed, BEARER)["listeners"], 10, "the page to listen")
    ann = {"Authorization": "Bearer " + mint(JWT_KEY, seconds=60, user="ann", subscribe=["room.*"])}
    with SSEClient(service.port, "/api/v1/stream?channel=room.a", headers=ann):
        tab.wait_for("logged.length === 1")
    assert tab.evaluate("logged") == ["presence:room.a"]


def test_page_of_a_refused_eventsource_goes_to_the_login(service: Server, browser: Chromium) -> None:
    """Friction 14: it was told nothing."""
    tab = paste(service, browser, "channel=secret", REFUSED)
    tab.wait_for("location.pathname === '/login'")


def test_line_of_ndjson_is_the_one_that_is_shown(service: Server) -> None:
    url = f"http://127.0.0.1:{service.port}{PATH}"
    with (
        httpx.Client(trust_env=False, timeout=15) as client,
        client.stream("GET", url, headers={"Accept": "application/x-ndjson"}) as answer,
    ):
        lines = answer.iter_lines()
        assert json.loads(next(lines))["type"] == "connected"
        service.publish("a", {"id": 7}, type="created")
        assert settled(next(lines)) == settled(LINE.text.strip())
