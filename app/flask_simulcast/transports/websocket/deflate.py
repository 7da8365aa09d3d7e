"""permessage-deflate: what is agreed on, and a message in and out. Pure: no socket, no clock.

Each message stands for itself (no context takeover), so between two messages nothing is kept: a window would be 32 KiB for
each idle client, and 256 for each that is sent to.

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
# What is between commas, or between semicolons, that don't stand in quotes.
_OFFERS = re.compile(r'(?:[^",]|"[^"]*")+')
_PARAMETERS = re.compile(r'(?:[^";]|"[^"]*")+')

_TAIL = b"\x00\x00\xff\xff"  # left out by the sender, added by the receiver (7.2.1, 7.2.2)
_PADDING = b"\x00"  # what may come behind a last block (7.2.3.4)
_LAST_BLOCK = b"\x03\x00"  # an empty one
# Below, the head and the call weigh more than what is saved.
_LEAST_BYTES = 1 << 10
# Above, a message is sent as it is: compressing holds the loop, 0.6 ms for so much JSON, 2.3 ms for so much noise.
_MOST_BYTES = 128 << 10
# The fastest: 6 makes JSON a seventh smaller than 1 does, in three times the time.
_LEVEL = 1


class Deflate(NamedTuple):
    """What was agreed on with one client.

    Attributes:
        window_bits: Of the window with which we compress, as the client asked for.
        answer: For Sec-WebSocket-Extensions.
    """

    window_bits: int
    answer: str

    def compressed(self, payload: bytes) -> bytes | None:
        """The payload of one message, smaller; None if it should go as it is."""
        if not _LEAST_BYTES <= len(payload) <= _MOST_BYTES:
            return None
        stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, -self.window_bits)
        data = stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH)
        return data[: -len(_TAIL)] if len(data) < len(payload) else None


def agreed(offers: str) -> Deflate | None:
    """The first of a client's offers that can be met; what can't be read is passed over (RFC 7692, 5).

    Args:
        offers: Sec-WebSocket-Extensions.
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
    # client_max_window_bits needs no answer: we read with the largest window, whatever the client writes with.
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
    """``ending`` says with which code, and why."""

    def __init__(self, ending: CloseCode) -> None:
        super().__init__(ending.reason)
        self.ending = ending


class Inflation:
    """One message that is being inflated, as it comes.

    Args:
        message_bytes: More than one byte beyond these is never made of it, however little it is made of.
    """

    __slots__ = ("_left", "_message_bytes", "_stream")

    def __init__(self, message_bytes: int) -> None:
        self._stream = zlib.decompressobj(-_MOST_BITS)
        self._message_bytes = self._left = message_bytes

    def take(self, data: bytes) -> bytes:
        """What more of it becomes.

        Raises:
            CannotInflate: It is too large, or broken.
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
        """What its end becomes.

        Raises:
            CannotInflate: As before, or it breaks off.
        """
        if self._stream.eof:
            return b""
        plain = self.take(_TAIL)
        # Whole if one more block may begin here: else what was added is taken for data, or for the middle of a block.
        if not self._stream.eof:
            self.take(_LAST_BLOCK)
            if not self._stream.eof:
                raise CannotInflate(PROTOCOL_ERROR.saying("A compressed message breaks off."))
        return plain
