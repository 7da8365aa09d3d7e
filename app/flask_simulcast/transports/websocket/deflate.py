"""permessage-deflate: negotiate it, and compress and inflate messages. Pure: no socket, no clock.

Each message is compressed by itself (no context takeover), so nothing is kept between two messages: a window would take
32 KiB for each idle client, and 256 KiB for each client that is sent to.

Source: RFC 7692, 5 (offers and answers), 7.1 (parameters), 7.2 (messages).
"""

from __future__ import annotations

import re
import zlib
from typing import NamedTuple

from .close_codes import PROTOCOL_ERROR, TOO_LARGE, CloseCode

_NAME = "permessage-deflate"
_ANSWER = f"{_NAME}; server_no_context_takeover; client_no_context_takeover"
_WITHOUT_VALUE = frozenset({"server_no_context_takeover", "client_no_context_takeover"})
_BITS = frozenset(map(str, range(8, 16)))  # "without leading zeroes" (7.1.2)
_MOST_BITS = 15
_LEAST_BITS = 9  # zlib writes no raw stream with a window of 8
# Parts between commas, or between semicolons, that are not in quotes.
_OFFERS = re.compile(r'(?:[^",]|"[^"]*")+')
_PARAMETERS = re.compile(r'(?:[^";]|"[^"]*")+')

_TAIL = b"\x00\x00\xff\xff"  # left out by the sender, added by the receiver (7.2.1, 7.2.2)
_PADDING = b"\x00"  # allowed after a last block (7.2.3.4)
_LAST_BLOCK = b"\x03\x00"  # an empty last block
# Smaller messages are sent uncompressed: the call costs more than the bytes that it saves.
_LEAST_BYTES = 1 << 10
# Larger messages are sent uncompressed: at this size a call holds the loop for 0.6 ms (JSON) to 2.3 ms (noise).
_MOST_BYTES = 128 << 10
# The fastest level: level 6 makes JSON a seventh smaller, but takes three times as long.
_LEVEL = 1


class Deflate(NamedTuple):
    """The compression negotiated with one client.

    Attributes:
        window_bits: Size of the server's compression window, in bits, as the client asked for.
        answer: Value of the answer's Sec-WebSocket-Extensions.
    """

    window_bits: int
    answer: str

    def compressed(self, payload: bytes) -> bytes | None:
        """Compress the payload of one message; None if it should be sent uncompressed."""
        if not _LEAST_BYTES <= len(payload) <= _MOST_BYTES:
            return None
        stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, -self.window_bits)
        data = stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH)
        return data[: -len(_TAIL)] if len(data) < len(payload) else None


def agreed(offers: str) -> Deflate | None:
    """Return the first of a client's offers that the server can accept. Offers that can't be parsed are skipped (RFC 7692, 5).

    Args:
        offers: Value of the request's Sec-WebSocket-Extensions.
    """
    for offer in _OFFERS.findall(offers):
        if (deflate := _met(offer)) is not None:
            return deflate
    return None


def _met(offer: str) -> Deflate | None:
    name, _, rest = offer.partition(";")
    parameters = _PARAMETERS.findall(rest)
    if name.strip().lower() != _NAME:
        return None
    values: dict[str, str] = {}
    for parameter in parameters:
        key, equals, value = (part.strip() for part in parameter.partition("="))
        key = key.lower()
        if key in values or not _is_known(key, value[1:-1] if value[:1] == '"' else value, has_value=bool(equals)):
            return None
        values[key] = value.strip('"')
    # client_max_window_bits needs no answer: the server inflates with the largest window, whatever the client uses.
    bits = values.get("server_max_window_bits")
    if bits is None:
        return Deflate(_MOST_BITS, _ANSWER)
    if int(bits) < _LEAST_BITS:
        return None
    return Deflate(int(bits), f"{_ANSWER}; server_max_window_bits={bits}")


def _is_known(key: str, value: str, *, has_value: bool) -> bool:
    if key in _WITHOUT_VALUE:
        return not has_value
    if key == "client_max_window_bits" and not has_value:
        return True
    return key in {"client_max_window_bits", "server_max_window_bits"} and value in _BITS


class CannotInflate(Exception):
    """A compressed message is too large or broken. ``ending`` has the close code and the reason."""

    def __init__(self, ending: CloseCode) -> None:
        super().__init__(ending.reason)
        self.ending = ending


class Inflation:
    """Inflates one message, piece by piece.

    Args:
        message_bytes: Largest size of the message. Inflation stops one byte above it, however small the input is.
    """

    __slots__ = ("_left", "_message_bytes", "_stream")

    def __init__(self, message_bytes: int) -> None:
        self._stream = zlib.decompressobj(-_MOST_BITS)
        self._message_bytes = self._left = message_bytes

    def take(self, data: bytes) -> bytes:
        """Inflate the next piece.

        Raises:
            CannotInflate: The message is too large, or broken.
        """
        try:
            plain = self._stream.decompress(data, self._left + 1)
        except zlib.error as error:
            raise CannotInflate(PROTOCOL_ERROR.saying("A compressed message that can't be inflated.")) from error
        self._left -= len(plain)
        if self._left < 0:
            raise CannotInflate(TOO_LARGE.saying(f"A message of more than {self._message_bytes} bytes."))
        if self._stream.unused_data not in (b"", _PADDING):
            raise CannotInflate(PROTOCOL_ERROR.saying("A compressed message goes on after its last block."))
        return plain

    def end(self) -> bytes:
        """Inflate the end of the message.

        Raises:
            CannotInflate: The message is too large, broken or incomplete.
        """
        if self._stream.eof:
            return b""
        plain = self.take(_TAIL)
        # The message is complete if one more block can begin here. Otherwise the added bytes were part of a block.
        if not self._stream.eof:
            self.take(_LAST_BLOCK)
            if not self._stream.eof:
                raise CannotInflate(PROTOCOL_ERROR.saying("A compressed message breaks off."))
        return plain
