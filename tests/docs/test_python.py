"""docs/python.md: each program of it hears of an order, from a view of an app or from the service; the states are those of the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import get_args

import pytest

from app.flask_simulcast.client import State
from app.identity.tokens import mint
from tests.docs.page import Block, Page
from tests.docs.reader import Reader, app_reader
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY
from tests.tools.serving import ROOT, Server, wait_until

PAGE = Page("docs/python.md")
OWN_VIEW = PAGE.take("Listen", "python")
OF_THE_SERVICE = PAGE.take("Listen", "python")
AFTER_A_RESTART = PAGE.take("After a restart of your own program", "python")
PUBLISHES = PAGE.take("Publish", "python")
SHOWS_STATES = PAGE.take("States", "python")
TEXT = (ROOT / PAGE.path).read_text()

APP = """
from flask import Flask, request
from flask_simulcast import Grant, Simulcast

app = Flask(__name__)
simulcast = Simulcast(app)

@app.get("/orders/stream")
def live():
    return simulcast.sse("orders", grant=Grant("ann", "orders"))

@app.post("/orders/<int:n>")
def create(n):
    return str(simulcast.publish("orders", {"n": n}).position), 201

@app.post("/end")
def end():
    simulcast.revoke(user="ann")
    return ""
"""

service = server_fixture(jwt_key=JWT_KEY)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with app_reader(tmp_path_factory.mktemp("python"), app=APP) as reader:
        yield reader


@pytest.fixture(scope="module")
def shop(reader: Reader) -> Iterator[Server]:
    with reader.serving("gunicorn -c python:flask_simulcast.gunicorn app:app") as server:
        yield server


def saved(reader: Reader, name: str, block: Block, server: Server) -> str:
    """Save a program, for this server. Returns the command that runs it."""
    at = block.replaced({"127.0.0.1:8000": f"127.0.0.1:{server.port}"})
    (reader.folder / f"{name}.py").write_text(at.text)
    return f"python {name}.py"


def order(shop: Server, n: int) -> str:
    status, _, body = shop.request("POST", f"/orders/{n}")
    assert status == 201
    return body.decode()


def test_a_view_of_an_app_is_listened_to(reader: Reader, shop: Server) -> None:
    with reader.running(saved(reader, "own", OWN_VIEW, shop)) as own:
        n = 0
        while "message" not in own.output:
            order(shop, n := n + 1)
        own.wait_for("message {'n': ")


def test_a_program_goes_on_after_its_own_restart(reader: Reader, shop: Server) -> None:
    command, place = saved(reader, "restarted", AFTER_A_RESTART, shop), reader.folder / "position.txt"
    with reader.running(command) as first:
        n = 100
        while "handled" not in first.output:
            last = order(shop, n := n + 1)
        wait_until(lambda: place.read_text() == last, 10, "the last position")
    order(shop, 999)
    with reader.running(command) as second:
        assert second.wait_for("'n': 999}") == "handled {'n': 999}\n"


def test_the_service_is_listened_to_and_published_to(reader: Reader, service: Server) -> None:
    token = mint(JWT_KEY, user="ann", subscribe=["orders", "news"], publish=["orders"], seconds=60)
    publish = saved(reader, "publishes", PUBLISHES, service)
    with reader.running(saved(reader, "service", OF_THE_SERVICE, service), TOKEN=token) as listening:
        while "orders" not in listening.output:
            assert re.fullmatch(r"\d+-\d+-[0-9a-f]{8}\n", reader.run(publish, TOKEN=token))
        listening.wait_for("orders {'id': 7}")


def test_states_are_those_of_the_page() -> None:
    section = TEXT.partition("## States")[2]
    assert re.findall(r"^\| `(\w+)` ", section, re.MULTILINE) == list(get_args(State))


def test_changes_of_the_state_are_printed_until_the_grant_is_revoked(reader: Reader, shop: Server) -> None:
    with reader.running(saved(reader, "states", SHOWS_STATES, shop)) as states:
        states.wait_for("live")
        order(shop, 1)
        states.wait_for("{'n': 1}")
        assert shop.request("POST", "/end")[0] == 200
        assert states.wait_for("ended for good") == "live \n{'n': 1}\nclosed revoked\nended for good: revoked\n"
