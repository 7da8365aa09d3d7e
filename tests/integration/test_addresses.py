"""Limits by address on real sockets: which clients count as one, and that one can't take every place."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.flask_simulcast import Settings
from tests.tools.clients import SSEClient
from tests.tools.fixtures import server_fixture
from tests.tools.serving import BEARER, BURST_SECONDS, CHAT_BURST_SECONDS, Server, free_port, serve, wait_until
from tests.tools.ws_client import WSClient

STREAM = "/api/v1/stream?channel=a"
# Documentation addresses (RFC 5737, RFC 3849): the same client, written by several kinds of proxies.
ONE_CLIENT = {
    "bare": ["203.0.113.1"] * 3,
    "with a port": ["203.0.113.2:40001", "203.0.113.2:40002", "203.0.113.2:40003"],
    "IPv6 with a port": ["[2001:db8::7]:40001", "[2001:db8::7]:40002", "2001:db8::7"],
    "of a dual-stack proxy": ["::ffff:203.0.113.3", "203.0.113.3:1", "64:ff9b::203.0.113.3"],
    "no address": ["unknown", "_hidden", "203.0.113.700"],
}


proxied = server_fixture(broker_url="memory://", proxy_hops=1, max_listeners_per_address=2)


@contextlib.contextmanager
def statuses(server: Server, clients: Sequence[dict[str, Any]]) -> Iterator[list[int]]:
    """What each is answered that wants a stream as a program, not as an EventSource; all stay open."""
    with contextlib.ExitStack() as stack:
        opened = (SSEClient(server.port, STREAM, accept="*/*", **client) for client in clients)
        yield [stack.enter_context(client).status for client in opened]


def from_addresses(*addresses: str) -> list[dict[str, Any]]:
    return [{"source": address} for address in addresses]


def forwarded(*addresses: str) -> list[dict[str, Any]]:
    return [{"headers": {"X-Forwarded-For": address}} for address in addresses]


@contextlib.contextmanager
def serve_on(folder: Path, address: str, **settings: object) -> Iterator[Server]:
    port = free_port()
    with serve(folder, bind=f"{address}:{port}", port=port, broker_url="memory://", **settings) as server:
        yield server


@pytest.mark.parametrize("bound", ["[::]", "0.0.0.0"])
def test_ipv4_clients_of_a_dual_stack_socket_have_a_limit_each(tmp_path: Path, bound: str) -> None:
    """bug F2"""
    with (
        serve_on(tmp_path, bound, max_listeners_per_address=2) as server,
        statuses(server, from_addresses("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.1", "127.0.0.1")) as seen,
    ):
        assert seen == [200, 200, 200, 200, 429]


@pytest.mark.parametrize("written", ONE_CLIENT.values(), ids=ONE_CLIENT)
def test_one_client_has_one_limit_however_the_proxy_writes_its_address(proxied: Server, written: list[str]) -> None:
    """bug F3"""
    other = f"198.51.100.{1 + list(ONE_CLIENT.values()).index(written)}"
    with statuses(proxied, forwarded(*written, other)) as seen:
        assert seen == [200, 200, 429, 200]


def test_the_publish_rate_of_an_address_counts_in_the_same_way(tmp_path: Path) -> None:
    """bug F2 and F3"""
    settings = {"proxy_hops": 1, "publish_rate_per_address": 1, "constants": {BURST_SECONDS: 2}}
    with serve_on(tmp_path, "[::]", **settings) as server:

        def publish(source: str, forwarded_for: str = "") -> int:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=15, source_address=(source, 0))
            with contextlib.closing(connection):
                headers = BEARER | ({"X-Forwarded-For": forwarded_for} if forwarded_for else {})
                connection.request("POST", "/api/v1/events", json.dumps({"channel": "a", "data": 1}), headers)
                return connection.getresponse().status

        assert [publish(f"127.0.0.{number}") for number in (1, 1, 2, 2, 3)] == [201] * 5
        assert publish("127.0.0.1") == 429
        ports = [publish("127.0.0.1", f"203.0.113.7:{port}") for port in range(40_000, 40_004)]
        assert ports == [201, 201, 429, 429]


def test_an_anonymous_speaker_is_bound_by_the_address_without_its_port(tmp_path: Path) -> None:
    """bug F3, in the chat"""
    settings = {
        "chat_anonymous": True,
        "constants": {CHAT_BURST_SECONDS: 2},
        "proxy_hops": 1,
        "broker_url": "memory://",
    }
    with serve(tmp_path, **settings) as server:
        seen = [
            server.request(
                "POST",
                "/api/v1/chat/a/message",
                {"user": f"ann{number}", "message": "x"},
                {"X-Forwarded-For": f"203.0.113.7:{40_000 + number}"},
            )[0]
            for number in range(3)
        ]
    assert seen == [201, 201, 429]


def test_one_address_can_t_have_every_websocket(proxied: Server) -> None:
    """An open one takes a place also while it listens to nothing. One that is closed gives its own back."""

    def status_of() -> int:
        with WSClient(proxied.port, "/ws") as third:
            return third.status

    with WSClient(proxied.port, "/ws"), WSClient(proxied.port, "/ws"):
        assert status_of() == 429
    wait_until(lambda: status_of() == 101)


@pytest.mark.parametrize(("places", "of_address"), [(3600, 1800), (60, 30), (40, 20), (30, 16), (2, 16)])
def test_the_default_is_half_of_the_places_and_nothing_where_there_are_few(places: int, of_address: int) -> None:
    """Tighter would turn away a school, or a site whose proxy is not known."""
    assert Settings(max_listeners=places).max_listeners_per_address == of_address
    assert Settings(max_listeners=places, max_listeners_per_address=7).max_listeners_per_address == 7
    assert Settings(max_listeners=places, max_listeners_per_address=0).max_listeners_per_address == 0


def test_by_default_one_address_does_not_take_every_place(tmp_path: Path) -> None:
    """sec, "Weak": with 60 places one address had 60, and all others were told that the worker is full."""
    clients = from_addresses(*["127.0.0.1"] * 31, "127.0.0.2")
    with serve(tmp_path, broker_url="memory://", max_listeners=60) as server, statuses(server, clients) as seen:
        assert seen == [200] * 30 + [429, 200]
