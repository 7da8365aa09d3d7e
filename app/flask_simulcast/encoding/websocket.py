"""Encode WebSocket frames as a server sends them: unmasked, never fragmented.

A frame has the same bytes for every connection, so a frame for a thousand connections is made once. It is not compressed,
because clients that negotiated compression accept uncompressed frames too.

Source: RFC 6455, 5.2 (base framing), 5.5 (control frames), 7.4 (close codes); RFC 7692, 6 (the bit of a compressed message).
"""

from __future__ import annotations

CONTINUATION = 0x0
TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA

FINAL = 0x80
COMPRESSED = 0x40  # on the first frame of a message
_TWO_BYTES = 126  # the length follows in two bytes
_EIGHT_BYTES = 127  # the length follows in eight bytes
_MAX_CONTROL_BYTES = 125


def frame(opcode: int, payload: bytes) -> bytes:
    """Encode one whole message, or one control frame."""
    size = len(payload)
    if size < _TWO_BYTES:
        return bytes((FINAL | opcode, size)) + payload
    if size < 1 << 16:
        return b"%c%c%b%b" % (FINAL | opcode, _TWO_BYTES, size.to_bytes(2, "big"), payload)
    return b"%c%c%b%b" % (FINAL | opcode, _EIGHT_BYTES, size.to_bytes(8, "big"), payload)


def text_frame(payload: bytes) -> bytes:
    """Encode a text message, for `Connection.send_frame`.

    Args:
        payload: The text in UTF-8. It is not checked; a browser closes with 1007 if it is not UTF-8.
    """
    return frame(TEXT, payload)


def binary_frame(payload: bytes) -> bytes:
    """Encode a binary message."""
    return frame(BINARY, payload)


def close_frame(code: int, reason: str = "") -> bytes:
    """Encode a close frame, the last frame of a connection.

    Args:
        code: Close code: 1000-1003, 1007-1014, or 3000-4999; 1005 for a frame without a code.
        reason: Close reason. It is cut to 123 bytes, between two characters.
    """
    if code == 1005:
        return frame(CLOSE, b"")
    words = reason.encode()[: _MAX_CONTROL_BYTES - 2].decode(errors="ignore").encode()
    return frame(CLOSE, code.to_bytes(2, "big") + words)
