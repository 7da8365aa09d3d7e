"""Who gets through deploy/nginx.conf at all: names, limits by address, and what is said to those that do not."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.nginx import Nginx, serve_nginx
from tests.tools.serving import Server, free_port, serve

STREAM = "/api/v1/stream?channel=a"
PAGE = "https://app.example"
# The client says where it is, so that one machine can be many.
FROM_HEADER = "limit_conn_status 429;\n    set_real_ip_from 127.0.0.1;\n    real_ip_header X-Test-Address;"
FEW = {"limit_conn connections 1000;": "limit_conn connections 2;", "limit_conn_status 429;": FROM_HEADER}


@contextlib.contextmanager
def serve_both(
    folder: Path, changes: dict[str, str] | None = None, **settings: object
) -> Iterator[tuple[Nginx, Server]]:
    path = folder / "gunicorn.sock"
    service = {"proxy_hops": 1, "trusted_hosts": "live.example", "broker_url": "memory://", "allowed_origins": PAGE}
    with (
        serve(folder / "service", bind=f"unix:{path}", **service | settings) as gunicorn,
        serve_nginx(folder / "nginx", path, allowed_origin=PAGE, changes=changes or {}) as nginx,
    ):
        yield nginx, gunicorn


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with serve_both(tmp_path_factory.mktemp("door")) as (nginx, _):
        yield nginx


@pytest.fixture(scope="module")
def deserted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """Its gunicorn has been stopped."""
    with serve_both(tmp_path_factory.mktemp("deserted")) as (nginx, gunicorn):
        gunicorn.stop()
        yield nginx


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """Two connections for each address."""
    with serve_both(tmp_path_factory.mktemp("narrow"), FEW, anonymous_channels="*") as (nginx, _):
        yield nginx


@contextlib.contextmanager
def request(nginx: Nginx, text: str, *, name: str = "live.example") -> Iterator[str]:
    """The head of the answer, and what of the body came with it; the connection stays open meanwhile. Empty when it was closed."""
    trust = ssl.create_default_context()
    trust.check_hostname = False
    trust.verify_mode = ssl.CERT_NONE
    with trust.wrap_socket(connect(nginx.port), server_hostname=name) as sock:
        yield answer_of(sock, text)


@contextlib.contextmanager
def plain(nginx: Nginx, text: str) -> Iterator[str]:
    """The same without TLS."""
    with connect(nginx.plain_port) as sock:
        yield answer_of(sock, text)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=15)


def answer_of(sock: socket.socket, text: str) -> str:
    """nginx resets what it closes without an answer."""
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        sock.sendall(text.encode())
        while b"\r\n\r\n" not in answer and (piece := sock.recv(65536)):
            answer += piece
    return answer.decode()


def get(path: str, **headers: str) -> str:
    fields = {"Host": "live.example"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"


def test_another_name_gets_no_redirect_and_no_page(door: Nginx) -> None:
    """sec, "Weak": there was no server_name, and port 80 redirected every client to the name that it asked for."""
    for name in ("live.example", "evil.example"):
        with request(door, get("/", Host="evil.example"), name=name) as answer:
            assert answer == ""
    with request(door, get("/")) as answer:
        assert answer.startswith("HTTP/1.1 200")
    with plain(door, get("/x", Host="evil.example")) as answer:
        assert answer == ""
    with plain(door, get("/x")) as answer:
        assert "\r\nLocation: https://live.example/x\r\n" in answer


def test_browsers_are_told_to_use_only_https_whatever_server_answers(door: Nginx, deserted: Nginx) -> None:
    with request(door, get("/")) as answer:
        assert answer.count("Strict-Transport-Security: max-age=31536000\r\n") == 1
        assert answer.count("X-Content-Type-Options: nosniff") == 1
    for accept in ("*/*", "text/event-stream"):
        with request(deserted, get(STREAM, Accept=accept)) as answer:
            assert answer.count("Strict-Transport-Security: max-age=31536000\r\n") == 1


def test_a_post_is_never_told_that_all_is_well_while_gunicorn_is_away(deserted: Nginx) -> None:
    """sec F12: with the Accept of an EventSource it was answered 200."""
    post = (
        "POST /api/v1/events HTTP/1.1\r\nHost: live.example\r\nAccept: text/event-stream\r\nContent-Length: 2\r\n\r\n{}"
    )
    with request(deserted, post) as answer:
        assert answer.startswith("HTTP/1.1 503")
        assert "Retry-After: 1" in answer
    with request(deserted, get(STREAM, Accept="text/event-stream")) as answer:
        assert answer.startswith("HTTP/1.1 200")


def test_in_a_fleet_too_only_an_event_source_is_told_to_come_back(tmp_path: Path) -> None:
    """sec F12, its sibling. No host is there."""
    hosts = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    asked = "HTTP/1.1\r\nHost: live.example\r\nAccept: text/event-stream\r\nContent-Length: 2\r\n"
    with serve_nginx(tmp_path, hosts=hosts) as nginx:
        for head, status in (("POST", 503), ("PUT", 503), ("GET", 200)):
            for more in ("", "Idempotency-Key: once\r\n"):
                with request(nginx, f"{head} /api/v1/stream {asked}{more}\r\n{{}}") as answer:
                    assert answer.startswith(f"HTTP/1.1 {status}"), (head, more)


@pytest.mark.parametrize(
    ("addresses", "other"),
    [
        (["192.0.2.1", "192.0.2.1", "192.0.2.1"], "192.0.2.2"),
        (["2001:db8::1", "2001:db8::2", "2001:db8::ffff:0:a0a"], "2001:db8:0:1::1"),
        (["::ffff:192.0.2.3", "192.0.2.3", "::ffff:192.0.2.3"], "::ffff:192.0.2.4"),
        (["10.10.10.10", "10.10.10.10", "10.10.10.10"], "10.10.10.11"),  # line feeds, in binary
    ],
)
def test_one_client_can_t_have_every_connection(narrow: Nginx, addresses: list[str], other: str) -> None:
    """sec, "Weak". A neighbour in the same IPv6 network is the same client. An EventSource is told to come back."""
    assert all(ipaddress.ip_address(address) for address in [*addresses, other])
    with contextlib.ExitStack() as stack:

        def ask(address: str, **headers: str) -> str:
            return stack.enter_context(request(narrow, get(STREAM, X_Test_Address=address, Origin=PAGE, **headers)))

        assert [ask(address).split()[1] for address in addresses] == ["200", "200", "429"]
        refused = ask(addresses[0])
        assert "Retry-After: 1" in refused
        assert f"Access-Control-Allow-Origin: {PAGE}" in refused
        told = ask(addresses[0], Accept="text/event-stream")
        assert told.startswith("HTTP/1.1 200")
        assert "Content-Type: text/event-stream" in told
        assert ask(other).split()[1] == "200"


def test_one_client_can_t_connect_without_end_and_publishing_is_not_bounded_by_it(tmp_path: Path) -> None:
    few = {"burst=1000": "burst=3", "rate=100r/s": "rate=1r/m"}
    with serve_both(tmp_path, few) as (nginx, _), nginx.client() as client:
        statuses = [client.get("/healthz").status_code for _ in range(6)]
        assert statuses == [200] * 4 + [429] * 2
        nginx.publish("a", *range(3))
        assert client.get(STREAM, headers={"Accept": "text/event-stream"}).status_code == 200
        assert client.get(STREAM).json()["error"]["code"] == "too_many_requests"


def test_a_client_can_t_choose_the_prefix_of_links(door: Nginx) -> None:
    with door.client() as client:
        assert "/hub/" not in client.get("/", headers={"X-Forwarded-Prefix": "/hub"}).text
