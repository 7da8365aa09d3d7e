"""Checks of WebSockets: does the request for one arrive, and do frames pass?"""

from __future__ import annotations

import base64
import os
import re
import struct
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from .client import Target, told
from .errors import BadInputError, SilentError
from .faults import fault
from .finding import Finding, sound, unseen
from .visit import Visit

_UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
}
_AS_PLAIN = "A request for a WebSocket reaches the app as a plain one."
_PING, _PONG = 0x9, 0xA
_MOST_FRAMES = 20  # a handler may send events before its pong
_MOST_BYTES = 1 << 20
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})\b")


def upgrade(visit: Visit) -> Finding:
    """Ask the stream's own URL for a WebSocket: the app refuses that in its own words, if the request arrives as one."""
    try:
        answer = visit.target.open(headers=_handshake())
    except SilentError:
        if visit.answer is None:  # held back, as the stream is
            return fault("upgrade_lost", _AS_PLAIN)
        return unseen("WebSocket", "A request for a WebSocket is not answered.")
    body = answer.body(1024) if answer.status >= 400 else b""
    answer.close()
    if answer.status == 200:
        return fault("upgrade_lost", _AS_PLAIN)
    if answer.status == 400 and b"handshake" in body:
        return sound("WebSocket", "A request for a WebSocket reaches the app. (--websocket URL opens one.)")
    return unseen("WebSocket", f"A request for a WebSocket is answered {answer.status}.")


def frames(target: Target, url: str) -> Finding:
    """Open a WebSocket, and look whether a ping is answered.

    Raises:
        BadInputError: The server can't be reached, or the URL has no WebSocket.
    """
    connection = target.connect(url)
    try:
        connection.request("GET", _path(url), headers=target.all_headers(_handshake()))
        connection.sock.settimeout(target.seconds)
        return _judged(connection.sock, url)
    except TimeoutError:
        return fault("websocket", "The WebSocket opens, but no frame comes back.", (url.partition("?")[0],))
    except OSError as error:
        return fault("websocket", f"The WebSocket breaks: {told(error)}.", (url.partition("?")[0],))
    finally:
        connection.close()


def _judged(sock: Any, url: str) -> Finding:
    head = b""
    while not head.endswith(b"\r\n\r\n") and len(head) < _MOST_BYTES:  # byte by byte: frames may follow at once
        head += _exactly(sock, 1)
    begin = _STATUS.match(head)
    if begin is None:
        raise BadInputError(f"{url.partition('?')[0]} gives no HTTP answer. Is it the URL of a WebSocket?")
    status = int(begin[1])
    if status == 101:
        return _pinged(sock)
    body = sock.recv(4096)
    if b"over HTTP/1.1" in body:
        return fault("http_1_0", "The worker was asked for a WebSocket with HTTP/1.0.")
    if status in (200, 400, 426):
        return fault("upgrade_lost", f"The request for a WebSocket is answered {status}: it does not arrive as one.")
    raise BadInputError(
        f"{url.partition('?')[0]} answers {status} to a request for a WebSocket. Is it the URL of one, and are you let in?"
    )


def _pinged(sock: Any) -> Finding:
    mask = os.urandom(4)
    sock.sendall(struct.pack("!BB", 0x80 | _PING, 0x80) + mask)
    for _ in range(_MOST_FRAMES):
        opcode, length = struct.unpack("!BB", _exactly(sock, 2))
        if length in (126, 127):
            length = int.from_bytes(_exactly(sock, 2 if length == 126 else 8))
        _exactly(sock, min(length, _MOST_BYTES))
        if opcode & 0xF == _PONG:
            return sound("WebSocket", "A WebSocket opens, and frames pass both ways.")
    return unseen("WebSocket", "A WebSocket opens, but sends much and no pong.")


def _exactly(sock: Any, count: int) -> bytes:
    piece = b""
    while len(piece) < count:
        more = sock.recv(count - len(piece))
        if not more:
            raise ConnectionError("the connection has ended")
        piece += more
    return piece


def _handshake() -> dict[str, str]:
    return _UPGRADE | {"Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode()}


def _path(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(("", "", parts.path or "/", parts.query, ""))
