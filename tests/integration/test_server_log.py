"""What a real gunicorn writes about requests that it, or the service, was sent."""

from __future__ import annotations

import socket
from urllib.parse import quote

import pytest

from tests.tools.clients import SSEClient
from tests.tools.fixtures import server_fixture
from tests.tools.serving import Server, wait_until

SECRET = "T1CKET"
HOST = b"Host: localhost\r\n"
TARGET = b"/api/v1/stream?channel=a&ticket=" + SECRET.encode()
REFUSED = {
    "a space in the query": b"GET /api/v1/stream?channel=my room&ticket=T1CKET HTTP/1.1\r\n" + HOST,
    "no version": b"GET " + TARGET + b"\r\n" + HOST,
    "no version, a space": b"GET /api/v1/stream?channel=my room&ticket=T1CKET\r\n" + HOST,
    "another version": b"GET " + TARGET + b" HTTP/9.9\r\n" + HOST,
    "no method": TARGET + b" HTTP/1.1\r\n" + HOST,
    "a method that is none": b"g\xebt " + TARGET + b" HTTP/1.1\r\n" + HOST,
    "a URL of a bad host": b"GET http://[::1" + TARGET + b" HTTP/1.1\r\n" + HOST,
    "a URL of a bad port": b"GET http://localhost:x" + TARGET + b" HTTP/1.1\r\n" + HOST,
    "a line that is too long": b"GET " + TARGET + b"x" * 9000 + b" HTTP/1.1\r\n" + HOST,
    "two hosts": b"GET " + TARGET + b" HTTP/1.1\r\n" + HOST + HOST,
    "a space before a colon": b"GET " + TARGET + b" HTTP/1.1\r\n" + HOST + b"Authorization : Bearer T1CKET\r\n",
    "a folded header": b"GET " + TARGET + b" HTTP/1.1\r\n" + HOST + b"Cookie: a=b;\r\n c=T1CKET\r\n",
    "a header without a colon": b"GET " + TARGET + b" HTTP/1.1\r\n" + HOST + b"T1CKET\r\n",
    "a control character": b"GET " + TARGET + b"\x07 HTTP/1.1\r\n" + HOST,
    "a header that is too long": b"GET " + TARGET + b" HTTP/1.1\r\n" + HOST + b"Cookie: T1CKET" + b"x" * 9000 + b"\r\n",
    "two lengths": b"POST " + TARGET + b" HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n",
    "an unknown coding": b"POST " + TARGET + b" HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: T1CKET\r\n",
    "an expectation": b"POST " + TARGET + b" HTTP/1.1\r\n" + HOST + b"Expect: T1CKET\r\n",
    "a proxy line": b"PROXY TCP4 T1CKET\r\n",
    "TLS": b"\x16\x03\x01T1CKET\r\n",
}


server = server_fixture(broker_url="memory://", ACCESS_LOG="-", LOG_LEVEL="debug")


def send(server: Server, request: bytes) -> bytes:
    """The answer, to the end of the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as sock:
        sock.sendall(request)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    return answer


@pytest.mark.parametrize("request_head", REFUSED.values(), ids=REFUSED)
def test_a_ticket_in_a_request_that_is_refused_reaches_no_log(server: Server, request_head: bytes) -> None:
    """bug F9: it was not redeemed, so it is still worth something. Nor does the rest of the line."""
    before = len(server.log)
    send(server, request_head + b"Connection: close\r\n\r\n")
    wait_until(lambda: server.log[before:])
    server.request("GET", "/healthz")
    wait_until(lambda: "/healthz" in server.log[before:])
    assert SECRET not in server.log


def test_the_kind_of_a_fault_is_told(server: Server) -> None:
    send(server, REFUSED["a space in the query"] + b"\r\n")
    wait_until(lambda: "Invalid request from ip=127.0.0.1: InvalidHTTPVersion" in server.log)


def test_a_request_that_was_cut_off_reaches_no_log(server: Server) -> None:
    """gunicorn quotes it at debug level."""
    before = len(server.log)
    send(server, b"GET " + TARGET + b" HTTP/1.1\r\nHost: loc")
    wait_until(lambda: "Ignored premature client disconnection. NoMoreData" in server.log[before:])
    assert SECRET not in server.log


def test_a_path_writes_no_line_of_its_own_into_the_access_log(server: Server) -> None:
    """sec F6"""
    forged = "[2026-11-28 00:00:00 +0000] [1] [CRITICAL] app: forged line"
    before = len(server.log)
    server.request("GET", "/x" + quote(f"\n{forged}\r\x1b[31m\u202e\x9b2J") + "%80%ff?ticket=" + SECRET)
    wait_until(lambda: "\\n[2026" in server.log[before:])
    (line,) = (line for line in server.log.split("\n") if "forged" in line and "DEBUG" not in line)
    assert f"GET /x\\n{forged}\\r\\x1b[31m" in line
    assert not any(character in server.log for character in ("\x1b", "\u202e", "\x9b", "\r"))
    assert SECRET not in server.log


def test_one_who_comes_and_goes_writes_a_short_line(server: Server) -> None:
    """sec, "Weak": with 32 names of 118 characters each it was 4.4 kB, and no token was needed."""
    names = [f"{number:02}{'x' * 116}" for number in range(32)]
    before = len(server.log)
    with SSEClient(server.port, "/api/v1/stream?" + "&".join(f"channel={name}" for name in names)) as client:
        client.until("connected")
    wait_until(lambda: '"reason": "client_gone"' in server.log[before:])
    (line,) = (line for line in server.log[before:].split("\n") if '"client_gone"' in line)
    assert len(line) < 700
    assert names[0] in line
    assert '"more_channels": 30' in line
