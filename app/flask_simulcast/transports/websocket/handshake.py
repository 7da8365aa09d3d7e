"""The opening handshake: check a request and answer 101, or raise an error that says what is wrong. No I/O.

The HTTP server has parsed the request; this module checks what WebSocket requires of it. It is stricter than wsproto, which
accepts any key. The only extension that it negotiates is compression, which the parser undoes.

Source: RFC 6455, 4.2.1 (what the client must send), 4.2.2 (what to answer), 4.4 (versions).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ...errors import HandshakeError, UpgradeRequiredError
from .deflate import Deflate

#: The message for a plain request.
USE_A_CLIENT = "This URL speaks WebSocket. Open it with new WebSocket(url), or another such client."
_VERSION = "13"
# Of all header fields, which a parked connection keeps for the contexts of its messages. gunicorn takes 800 KB of them; nginx, and
# most servers, about as much as this.
_MAX_HEAD_BYTES = 32 << 10
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2


def is_asked(environ: Mapping[str, Any]) -> bool:
    """Tell whether the client asks for a WebSocket."""
    return "websocket" in _tokens(environ, "HTTP_UPGRADE") and "upgrade" in _tokens(environ, "HTTP_CONNECTION")


def check(environ: Mapping[str, Any]) -> str:
    """Check that a request is a valid opening handshake.

    Returns:
        The client's key.

    Raises:
        UpgradeRequiredError: It is a plain request, or asks for another version of the protocol.
        HandshakeError: The handshake is invalid.
    """
    if not is_asked(environ):
        raise UpgradeRequiredError(USE_A_CLIENT)
    if environ["REQUEST_METHOD"] != "GET" or environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
        raise HandshakeError("A WebSocket begins with GET over HTTP/1.1.")
    version = environ.get("HTTP_SEC_WEBSOCKET_VERSION")
    if version != _VERSION:
        if version is None:
            raise HandshakeError("The header Sec-WebSocket-Version is missing. Send Sec-WebSocket-Version: 13.")
        raise UpgradeRequiredError("The request asks for another version of WebSocket. Use version 13.")
    if not environ.get("HTTP_HOST"):
        raise HandshakeError("The header Host is missing.")
    if environ.get("CONTENT_LENGTH", "0") not in ("", "0") or environ.get("HTTP_TRANSFER_ENCODING"):
        raise HandshakeError("A WebSocket's handshake has no body: its bytes would be taken for frames.")
    if _head_bytes(environ) > _MAX_HEAD_BYTES:
        raise HandshakeError(
            f"The handshake has more than {_MAX_HEAD_BYTES} bytes of headers. Send fewer, or less in cookies."
        )
    if _has_early_bytes(environ):
        raise HandshakeError("Frames came before the answer to the handshake. Wait for 101.")
    return _checked_key(environ.get("HTTP_SEC_WEBSOCKET_KEY", ""))


def offers(environ: Mapping[str, Any]) -> str:
    """Return the extensions that the client offers."""
    return str(environ.get("HTTP_SEC_WEBSOCKET_EXTENSIONS", ""))


def checked_subprotocols(names: str | Iterable[str]) -> tuple[str, ...]:
    """Check the names of the subprotocols that a handler speaks: one name or several.

    Raises:
        ValueError: A name is not valid in the header.
    """
    given = (names,) if isinstance(names, str) else tuple(names)
    for name in given:
        if not isinstance(name, str) or _TOKEN.fullmatch(name) is None:
            raise ValueError(
                f"{name!a:.140} is not the name of a subprotocol. Use letters, digits and -._: for example mqtt."
            )
    return given


def subprotocol_of(environ: Mapping[str, Any], known: Collection[str]) -> str | None:
    """Return the first of the client's subprotocols that the handler speaks. If there is none, the answer names none, and the
    client decides whether it goes on (4.2.2, 5; a browser that offered one closes).

    Args:
        known: Subprotocols that the handler speaks. Case matters (11.5).
    """
    offered = (name.strip() for name in environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "").split(","))
    return next((name for name in offered if name in known), None)


def accepted(key: str, deflate: Deflate | None = None, subprotocol: str | None = None) -> bytes:
    """Build the answer that turns the connection into a WebSocket, with the negotiated extension and subprotocol."""
    # The protocol requires SHA-1 here. It proves that the server speaks WebSocket, and protects nothing.
    digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()
    agreed = b"Sec-WebSocket-Protocol: %b\r\n" % subprotocol.encode() if subprotocol is not None else b""
    if deflate is not None:
        agreed += b"Sec-WebSocket-Extensions: %b\r\n" % deflate.answer.encode()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n%b\r\n" % (base64.b64encode(digest), agreed)
    )


def _checked_key(key: str) -> str:
    """Check that a key is 16 bytes in base64."""
    try:
        is_right = len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        is_right = False
    if not is_right:
        raise HandshakeError(
            "The header Sec-WebSocket-Key is missing, or not 16 bytes in base64. Use a WebSocket client."
        )
    return key


def _head_bytes(environ: Mapping[str, Any]) -> int:
    """Return the bytes of all header fields."""
    return sum(len(name) + len(value) for name, value in environ.items() if name.startswith("HTTP_"))


def _has_early_bytes(environ: Mapping[str, Any]) -> bool:
    """Tell whether the server has read beyond the head. Those bytes would be lost silently (4.1: the client must wait)."""
    unreader = getattr(getattr(environ.get("wsgi.input"), "reader", None), "unreader", None)
    return unreader is not None and bool(unreader.buf.getbuffer().nbytes)


def _tokens(environ: Mapping[str, Any], name: str) -> set[str]:
    """Split a comma-separated header into lower-case tokens."""
    return {token.strip().lower() for token in environ.get(name, "").split(",")}
