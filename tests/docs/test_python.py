"""docs/python.md: each program of it hears of an order, from a view of an app or from the service; the states are those of the page."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from typing import get_args

import pytest

from app.flask_simulcast.client import State
from app.identity.tokens import mint
from tests.docs.likeness import settled
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
LISTENS, LISTENS_SAYS = PAGE.take("At a prompt", "sh"), PAGE.take("At a prompt", "text")
OVER_THE_SERVICE, SERVICE_SAYS = PAGE.take("At a prompt", "sh"), PAGE.take("At a prompt", "text")
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


def at(block: Block, server: Server) -> str:
    return block.replaced({"127.0.0.1:8000": f"127.0.0.1:{server.port}"}).text


def shape_of(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", settled(text))


def test_commands_at_a_prompt_print_what_the_page_shows(reader: Reader, shop: Server, service: Server) -> None:
    with reader.running(at(LISTENS, shop)) as listening:
        while "Go on" not in listening.output:
            order(shop, 7)
        shown = shape_of(LISTENS_SAYS.text).replace("created", "message").replace('"id"', '"n"')
        wait_until(lambda: shape_of(listening.output) == shown, 5, shown)
    token = mint(JWT_KEY, user="ann", subscribe=["orders"], publish=["orders"], seconds=60)
    assert settled(reader.run("exec 2>&1\n" + at(OVER_THE_SERVICE, service), SIMULCAST_TOKEN=token)) == settled(
        SERVICE_SAYS.text
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("listen nowhere", "This is no URL of a server"),
        ("listen $URL/healthz", "Use the URL of an event stream"),
        ("listen $URL orders --token-file nothing", "does not exist"),
        ("listen $URL user:ann", "401: "),
        ("publish $URL orders 'id: 7'", "This is not JSON"),
        ("publish $URL 'no channel' 7", "40"),
        ("publish $URL orders -", "This is not JSON"),
    ],
)
def test_commands_refuse_in_one_sentence(reader: Reader, service: Server, arguments: str, said: str) -> None:
    text = f"python -m flask_simulcast.client {arguments} 2>&1 || echo code $?"
    told = reader.run(text, URL=f"http://127.0.0.1:{service.port}", SIMULCAST_TOKEN="")
    assert said in told
    assert told.endswith("code 2\n")
    assert "Traceback" not in told


def test_ctrl_c_ends_a_listening_command_and_says_how_to_go_on(reader: Reader, shop: Server) -> None:
    with reader.running(
        f"exec python -m flask_simulcast.client listen http://127.0.0.1:{shop.port}/orders/stream"
    ) as listening:
        while "orders" not in listening.output:
            order(shop, 1)
        listening.shell.send_signal(signal.SIGINT)
        assert listening.shell.wait(10) == 0
        listening.wait_for("Go on with --from ")


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
