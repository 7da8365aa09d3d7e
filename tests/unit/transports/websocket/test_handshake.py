"""The handshake: what is answered with 101, and what is refused before it."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest

from app.flask_simulcast.errors import HandshakeError, UpgradeRequiredError
from app.flask_simulcast.transports.websocket import handshake

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def environ(**others: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "example.org",
        "HTTP_UPGRADE": "websocket",
        "HTTP_CONNECTION": "keep-alive, Upgrade",
        "HTTP_SEC_WEBSOCKET_KEY": KEY,
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
        "wsgi.input": io.BytesIO(),
    } | others


def test_the_answer_is_the_one_of_the_rfc() -> None:
    answer = handshake.accepted(handshake.check(environ()))
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
    assert b"Extensions" not in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "others",
    [{"HTTP_UPGRADE": ""}, {"HTTP_UPGRADE": "h2c"}, {"HTTP_CONNECTION": "keep-alive"}, {"HTTP_SEC_WEBSOCKET_VERSION": "8"}],
)  # fmt: skip
def test_a_plain_request_is_told_how_to_open_a_websocket(others: dict[str, str]) -> None:
    with pytest.raises(UpgradeRequiredError) as raised:
        handshake.check(environ(**others))
    assert raised.value.status == 426


early = SimpleNamespace(reader=SimpleNamespace(unreader=SimpleNamespace(buf=io.BytesIO(b"\x81\x80"))))


@pytest.mark.parametrize(
    "others",
    [
        {"REQUEST_METHOD": "POST"},
        {"SERVER_PROTOCOL": "HTTP/1.0"},
        {"HTTP_HOST": ""},
        {"HTTP_SEC_WEBSOCKET_VERSION": None},
        {"HTTP_SEC_WEBSOCKET_KEY": ""},
        {"HTTP_SEC_WEBSOCKET_KEY": "c2hvcnQ="},
        {"HTTP_SEC_WEBSOCKET_KEY": KEY[:-2]},
        {"HTTP_SEC_WEBSOCKET_KEY": KEY + "\u00e9"},
        {"CONTENT_LENGTH": "3"},
        {"HTTP_TRANSFER_ENCODING": "chunked"},
        {"wsgi.input": early},
    ],
)
def test_what_is_no_handshake_is_refused(others: dict[str, Any]) -> None:
    asked = {name: value for name, value in environ(**others).items() if value is not None}
    with pytest.raises(HandshakeError) as raised:
        handshake.check(asked)
    assert raised.value.status == 400
