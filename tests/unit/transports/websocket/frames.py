"""Frames as a client sends them, cut anywhere; and how a parser ends."""

from __future__ import annotations

import struct

from app.flask_simulcast.transports.websocket.close_codes import CloseCode
from app.flask_simulcast.transports.websocket.parser import Item, Violation

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0
KEY = b"\x11\x22\x33\x44"


def sent(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, key: bytes = KEY, is_masked: bool = True
) -> bytes:
    """A frame as a client sends it."""
    size = len(payload)
    mask = 0x80 if is_masked else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if size < 126:
        head += bytes([mask | size])
    elif size < 1 << 16:
        head += bytes([mask | 126]) + struct.pack("!H", size)
    else:
        head += bytes([mask | 127]) + struct.pack("!Q", size)
    if not is_masked:
        return head + payload
    return head + key + bytes(byte ^ key[place % 4] for place, byte in enumerate(payload))


def ending_of(items: list[Item]) -> CloseCode:
    assert isinstance(items[-1], Violation), items
    return items[-1].ending


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]
