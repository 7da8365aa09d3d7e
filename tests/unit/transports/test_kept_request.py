"""What is kept of a request: the same for each message, and shared by clients where it is alike."""

from __future__ import annotations

from flask import Flask, g, request

from app.flask_simulcast.transports.kept_request import KeptRequest

APP = Flask(__name__)


def kept(number: int) -> KeptRequest:
    """Keep a request of client ``number``, by gRPC and through a proxy."""
    own = {
        "Authorization": f"Bearer {number}",
        "Grpc-Timeout": f"{number}m",
        "Traceparent": f"00-{number:032x}-{number:016x}-01",
        "X-Forwarded-For": f"192.0.2.{number}",
        "X-Real-IP": f"192.0.2.{number}",
    }
    with APP.test_request_context(f"/call?number={number}", headers=own | {"User-Agent": "tests"}):
        g.number = number
        return KeptRequest()


def test_clients_that_differ_in_what_is_theirs_share_the_rest() -> None:
    first, second = kept(1), kept(2)
    assert first._others is second._others
    assert first.path is second.path


def test_a_message_has_the_request_of_its_own_client() -> None:
    requests = [kept(number) for number in range(2)]
    seen = []

    def look() -> None:
        headers = request.headers
        seen.append((g.number, request.args["number"], headers["Grpc-Timeout"], headers["Authorization"]))
        assert headers["User-Agent"] == "tests"

    for each in (*requests, *requests):
        each.call(look)
    assert seen == [(0, "0", "0m", "Bearer 0"), (1, "1", "1m", "Bearer 1")] * 2
