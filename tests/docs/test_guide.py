"""docs/guide.md: its Python blocks, pasted one below the other into app.py, are an app that does what the page says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest

from tests.docs.page import Page, program
from tests.docs.reader import Reader, app_reader
from tests.docs.test_extension_readme import assert_extra_is_there, assert_stopping_server_says_goodbye
from tests.tools.clients import SSEClient
from tests.tools.serving import Server, wait_until

PAGE = Page("docs/guide.md")
INSTALL = PAGE.take_untried("A first stream", "sh")
FIRST = PAGE.take("A first stream", "python")
DEVELOP = PAGE.take("A first stream", "sh")
IN_PRODUCTION = PAGE.take("A first stream", "sh")
OWN_CONFIG = PAGE.take("A first stream", "python")
SNAPSHOT = PAGE.take("Snapshot, then stream", "python")
VIEW = PAGE.take("Views: less for some", "python")
PUBLISHER = PAGE.take("From outside of a worker", "python")
COMMIT = PAGE.take("After the commit", "python")
GRANT = PAGE.take("Who may listen", "python")
AUTHORIZER = PAGE.take("Who may listen", "python")
PRESENCE = PAGE.take("Who is there", "python")
LEASE = PAGE.take("Periodic jobs", "python")
SIGNAL = PAGE.take("Signals", "python")
CROSS_ORIGIN = PAGE.take("Pages of other origins", "python")
METRICS = PAGE.take("Metrics and logs", "python")
LOGS = PAGE.take("Metrics and logs", "python")

ORIGIN = "https://page.example"
WITH_ORIGIN = FIRST.replaced(
    {"app = Flask(__name__)": f'app = Flask(__name__)\n    app.config["SIMULCAST_ALLOWED_ORIGINS"] = "{ORIGIN}"'}
)
APP = program(
    WITH_ORIGIN, SNAPSHOT, VIEW, COMMIT, GRANT, AUTHORIZER, PRESENCE, LEASE, SIGNAL, CROSS_ORIGIN, METRICS, LOGS
)
# What the page tells of in a sentence, and has no route for: the job's channel, and who is there.
SHOP = """
@app.get("/members")
def members():
    return {"members": [member.member for member in simulcast.members("chat.lobby")]}

@app.get("/shop")
def shop():
    return simulcast.sse("shop.orders", replay=1)
"""


class Shop(NamedTuple):
    reader: Reader
    server: Server
    cookie: dict[str, str]

    def listen(self, path: str) -> SSEClient:
        return SSEClient(self.server.port, path, headers=self.cookie)

    def order(self, price: int) -> None:
        """As a customer does."""
        headers = self.cookie | {"Content-Type": "application/json"}
        status, _, body = self.server.request("POST", "/orders", {"price": price}, headers)
        assert status == 201, body


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The app, and the cookie of Ann who has logged in."""
    files = {"app": APP + SHOP, "gunicorn.conf": OWN_CONFIG.text}
    with app_reader(tmp_path_factory.mktemp("guide"), **files) as reader, reader.serving("gunicorn app:app") as server:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        status, headers, _ = server.request("POST", "/login", f"user={quote('ann')}".encode(), form)
        assert status == 204, server.log
        yield Shop(reader, server, {"Cookie": headers["set-cookie"].partition(";")[0]})


def test_install_names_an_extra_that_there_is() -> None:
    assert_extra_is_there(INSTALL)


def test_development_server_streams(tmp_path: Path) -> None:
    with app_reader(tmp_path, app=FIRST.text) as reader:
        with reader.serving(DEVELOP, FLASK_RUN_PORT=str(reader.port)) as server:
            with SSEClient(server.port, "/orders/stream") as client:
                client.until("connected")


def test_order_is_published_after_its_commit_and_a_view_leaves_its_price_out(shop: Shop) -> None:
    with shop.listen("/orders/stream") as all_of_it, shop.listen("/orders/public") as less:
        for client in (all_of_it, less):
            client.until("connected")
        shop.order(price=300)
        created = all_of_it.until("created").json
        assert created["price"] == 300
        assert created["id"] is not None  # friction 2: it was asked for before the flush
        shown = less.until("created").json
        assert shown["state"] == "new"
        assert "price" not in shown


def test_snapshot_comes_first_and_the_stream_goes_on_after_it(shop: Shop) -> None:
    shop.order(price=100)
    with shop.listen("/orders/live") as client:
        snapshot = client.until("snapshot").json
        assert 100 in [order["price"] for order in snapshot]
        shop.order(price=200)
        assert client.until("created").json["price"] == 200


def test_publisher_of_another_process_reaches_listeners(shop: Shop) -> None:
    log = shop.reader.folder / "instance" / "simulcast.db"
    script = PUBLISHER.replaced({"/srv/shop/instance/simulcast.db": str(log)})
    (shop.reader.folder / "job.py").write_text(script.text)
    with shop.listen("/orders/stream") as client:
        client.until("connected")
        shop.reader.run("python job.py")
        assert client.until("updated").json == {"id": 7, "state": "shipped"}


def test_a_user_without_a_login_is_refused(shop: Shop) -> None:
    with SSEClient(shop.server.port, "/orders/stream") as client:
        assert client.status == 401


def test_grant_of_the_view_and_presence(shop: Shop) -> None:
    with shop.listen("/me/orders") as mine, shop.listen("/lobby") as lobby:
        assert mine.until("connected").json["channels"] == ["orders"]
        assert lobby.until("connected").json["channels"] == ["chat.lobby"]
        wait_until(lambda: shop.server.get_json("/members") == {"members": ["ann"]}, 10, "Ann to be present")


def test_job_publishes_while_it_holds_the_lease(shop: Shop) -> None:
    with shop.listen("/shop") as client:
        assert client.until("count").json["count"] >= 0


def test_page_of_another_origin_may_ask_and_no_other(shop: Shop) -> None:
    for origin, is_allowed in {ORIGIN: True, "https://evil.example": False}.items():
        asks = {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        }
        _, headers, _ = shop.server.request("OPTIONS", "/ask", headers=asks)
        assert (headers.get("access-control-allow-origin") == origin) == is_allowed
    json_body = {"Content-Type": "application/json"}
    assert b'{"answer":"?"}' in shop.server.request("POST", "/ask", {"question": "?"}, json_body)[2]


def test_signal_metrics_and_logs_tell_of_a_listener_that_left(shop: Shop) -> None:
    with shop.listen("/orders/stream") as client:
        listener = client.until("connected").json["listener"]
    wait_until(lambda: f"{listener} has left" in shop.server.log, 10, "the receiver")
    wait_until(lambda: is_ended(shop.server.log, listener), 10, "the line of the stream")
    figures = shop.server.request("GET", "/metrics")[2].decode()
    added = re.search(r"^simulcast_listeners_added_total (\d+)", figures, re.MULTILINE)
    assert added is not None, figures
    assert int(added[1]) >= 1
    assert 'simulcast_listener_closed_total{reason="client_gone"}' in figures


def is_ended(log: str, listener: str) -> bool:
    lines = [line.partition("streams:")[2] for line in log.splitlines() if "streams:" in line]
    return any(json.loads(line).get("stream") == listener for line in lines)


def test_config_of_ones_own_goes_before_the_extensions(shop: Shop) -> None:
    assert "Ready for orders." in shop.server.log


def test_in_production_a_server_that_stops_says_goodbye(tmp_path: Path) -> None:
    """Friction 9: the page did not mention the hooks."""
    with app_reader(tmp_path, app=FIRST.text) as reader, reader.serving(IN_PRODUCTION) as server:
        assert_stopping_server_says_goodbye(server)
