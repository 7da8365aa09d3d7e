"""Parse a client's bytes into messages. Pure: no socket, no clock.

It replaces wsproto's parser, which has no limit on fragments (a million empty ones held a worker for 13.5 s), no limit on
a message before it is complete, and drops the messages before a bad frame in the same read (ten of Autobahn's cases are
"non-strict" for it). This parser returns those messages, in order, and the violation last.

Source: RFC 6455, 5 (framing), 5.5 (control frames), 7.4 (close codes), 8.1 (invalid UTF-8); RFC 7692, 6 (compressed messages).
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import NamedTuple

from ...encoding.websocket import BINARY, CLOSE, COMPRESSED, CONTINUATION, FINAL, PING, PONG, TEXT
from .close_codes import NOT_TEXT, NOT_UTF8, PROTOCOL_ERROR, TOO_LARGE, TOO_MANY_FRAGMENTS, CloseCode
from .deflate import CannotInflate, Inflation

_CONTROL = 0x8
_MASKED = 0x80
_SHORTEST = {126: 126, 127: 1 << 16}  # the minimal number of bytes MUST be used (5.2)
# All valid first bytes without an extension: no reserved bits, known opcodes, control frames in one piece.
_FIRST_BYTES = frozenset(
    {CONTINUATION, TEXT, BINARY}
    | {FINAL | opcode for opcode in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG)}
)  # fmt: skip
# With compression, the first frame of a message can have the bit of a compressed message.
_FIRST_BYTES_COMPRESSED = _FIRST_BYTES | {
    final | COMPRESSED | opcode for final in (0, FINAL) for opcode in (TEXT, BINARY)
}
# Inflated bytes after which the rest of the input waits for the next turn: 16 KiB can become a hundred messages of 128 KiB.
_INFLATED_BYTES = 64 << 10
# Cost of a compressed message besides its text.
_INFLATION_BYTES = 1 << 10
# 1004-1006 and 1015 MUST NOT be sent; 1012-1014 were registered later; 1016-2999 are for the protocol itself (7.4).
_CLOSE_CODES = frozenset(range(1000, 1015)) - {1004, 1005, 1006}
_OWN_CLOSE_CODES = range(3000, 5000)


class Ping(NamedTuple):
    """A ping. The server must answer it."""

    payload: bytes


class Pong(NamedTuple):
    """The client's answer to a ping."""

    payload: bytes


class Close(NamedTuple):
    """The client's last frame. The code 1005 stands for a close frame without a code."""

    code: int
    reason: str


class Violation(Exception):
    """A protocol violation after which parsing can't continue. ``ending`` has the close code and the reason."""

    def __init__(self, ending: CloseCode) -> None:
        super().__init__(ending.reason)
        self.ending = ending


Item = str | bytes | Ping | Pong | Close | Violation


class Parser:
    """Parses the bytes of one client as they come.

    Args:
        message_bytes: Largest size of a whole message. The length in a frame's head is checked before its payload arrives.
        fragments: Largest number of frames in one message.
        text_only: True to refuse binary messages.
        is_compressed: True if compression was negotiated.

    Attributes:
        frames: Number of frames that have begun.
        has_more: True if input remains unparsed because this turn reached its output bound; call ``feed(b"")`` to continue.
    """

    __slots__ = (
        "_decoder", "_first_bytes", "_fragments", "_inflatable", "_inflation", "_is_final", "_is_over", "_is_text", "_key",
        "_left", "_message_bytes", "_most_fragments", "_parts", "_rest", "_size", "_text_only", "frames", "has_more",
    )  # fmt: skip

    def __init__(
        self, *, message_bytes: int, fragments: int, text_only: bool = False, is_compressed: bool = False
    ) -> None:
        self._message_bytes = message_bytes
        self._most_fragments = fragments
        self._text_only = text_only
        self._first_bytes = _FIRST_BYTES_COMPRESSED if is_compressed else _FIRST_BYTES
        self.frames = 0
        self.has_more = False
        self._inflatable = 0  # bytes, in this turn
        self._inflation: Inflation | None = None  # of the message that is being read
        self._is_over = False
        self._rest = b""  # the beginning of a head, or of a control frame
        self._left = 0  # bytes of the payload that have not come yet
        self._key = b""  # the mask of the payload, turned to the next byte
        self._is_final = True  # the frame ends its message
        self._fragments = 0  # of the message that is being read; 0 between two messages
        self._is_text = False
        self._size = 0
        self._parts: list[str] | list[bytes] = []
        self._decoder: codecs.IncrementalDecoder | None = None

    def feed(self, data: bytes) -> list[Item]:
        """Parse bytes; return the items that they complete, in order. A `Close` or a `Violation` is the last item ever."""
        items: list[Item] = []
        self._inflatable = _INFLATED_BYTES
        if not self._is_over:
            try:
                self._read(self._rest + data if self._rest else data, items)
            except Violation as violation:
                items.append(violation)
                self._is_over = True
            if self._is_over:
                self._rest, self._parts, self._inflation = b"", [], None
            self.has_more = self._inflatable <= 0 and bool(self._rest)
        return items

    @property
    def is_between_messages(self) -> bool:
        """True if it has nothing of a message or a frame, so that another parser could go on."""
        return not (self._rest or self._left or self._fragments or self._is_over)

    def _read(self, data: bytes, items: list[Item]) -> None:
        start, end = 0, len(data)
        while not self._is_over and self._inflatable > 0:
            if self._left:
                if start == end:
                    break
                piece = data[start : start + self._left]
                start += len(piece)
                self._left -= len(piece)
                self._take(piece)
                if self._left:
                    break
                if self._is_final:
                    items.append(self._whole())
            if end - start < 2:
                break
            first, size = data[start], data[start + 1]
            _check_head(first, size, self._first_bytes)
            body, size = _payload_of(data, start, size & ~_MASKED)
            is_control = first & _CONTROL
            if body > end or (is_control and body + size > end):
                break
            self.frames += 1
            self._key = data[body - 4 : body]
            start = body
            if is_control:
                start += size
                items.append(self._control(first & ~FINAL, unmasked(data[body:start], self._key)))
            else:
                self._begin(first, size)
                if not size and self._is_final:
                    items.append(self._whole())
        self._rest = data[start:]

    def _begin(self, first: int, size: int) -> None:
        """Begin a data frame."""
        opcode = first & 0xF
        if opcode != CONTINUATION:
            if self._fragments:
                raise Violation(PROTOCOL_ERROR.saying("A message began in the middle of another message."))
            if opcode == BINARY and self._text_only:
                raise Violation(NOT_TEXT)
            self._is_text = opcode == TEXT
            if first & COMPRESSED:
                self._inflation = Inflation(self._message_bytes)
                self._inflatable -= _INFLATION_BYTES
        elif not self._fragments:
            raise Violation(PROTOCOL_ERROR.saying("A continuation frame without a message."))
        self._fragments += 1
        if self._fragments > self._most_fragments:
            raise Violation(TOO_MANY_FRAGMENTS.saying(f"A message in more than {self._most_fragments} fragments."))
        self._size += size
        most = self._message_bytes
        if self._inflation is not None:
            most += most // 8 + 64  # compressed noise is longer than noise, at worst by this (zlib's deflateBound)
        if self._size > most:
            raise Violation(TOO_LARGE.saying(f"A message of more than {self._message_bytes} bytes."))
        self._is_final = bool(first & FINAL)
        self._left = size

    def _take(self, piece: bytes) -> None:
        """Take a piece of a data frame's payload."""
        plain = unmasked(piece, self._key)
        if self._left:
            turn = len(piece) % 4
            self._key = self._key[turn:] + self._key[:turn]
        self._add(plain if self._inflation is None else self._inflated(self._inflation.take, plain))

    def _inflated(self, step: Callable[..., bytes], *data: bytes) -> bytes:
        try:
            plain = step(*data)
        except CannotInflate as error:
            raise Violation(error.ending) from error
        self._inflatable -= len(plain)
        return plain

    def _add(self, plain: bytes) -> None:
        """Add plain bytes to the message."""
        if not self._is_text or self._is_one_piece:
            self._parts.append(plain)  # type: ignore[arg-type]
        else:
            self._parts.append(self._decoded(plain))  # type: ignore[arg-type]

    @property
    def _is_one_piece(self) -> bool:
        """True if the whole message is here at once, as nearly all are: it needs no incremental decoder."""
        return self._is_final and not self._left and self._fragments == 1 and self._decoder is None

    def _decoded(self, plain: bytes, *, is_last: bool = False) -> str:
        """Decode UTF-8. Fails at the first bad byte, wherever the frames and the reads were cut."""
        if self._decoder is None:
            self._decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            return self._decoder.decode(plain, is_last)
        except UnicodeDecodeError as error:
            raise Violation(NOT_UTF8) from error

    def _whole(self) -> str | bytes:
        """Return the complete message."""
        if self._inflation is not None:
            self._add(self._inflated(self._inflation.end))
            self._inflation = None
        parts, self._parts = self._parts, []
        if not self._is_text:
            message: str | bytes = b"".join(parts) if len(parts) != 1 else parts[0]  # type: ignore[arg-type]
        elif self._decoder is not None:
            self._decoded(b"", is_last=True)
            self._decoder = None
            message = "".join(parts)  # type: ignore[arg-type]
        else:
            message = _text(b"".join(parts))  # type: ignore[arg-type]
        self._fragments = self._size = 0
        return message

    def _control(self, opcode: int, payload: bytes) -> Item:
        if opcode == PING:
            return Ping(payload)
        if opcode == PONG:
            return Pong(payload)
        self._is_over = True
        return _close(payload)


def unmasked(data: bytes, key: bytes) -> bytes:
    """XOR data with a repeated key of four bytes (5.3). Computed as two large integers: 0.5 µs for 100 bytes, 30 for 16 KiB."""
    size = len(data)
    mask = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(mask, "little")).to_bytes(size, "little")


def _check_head(first: int, second: int, first_bytes: frozenset[int]) -> None:
    if first not in first_bytes:
        if first & 0x70:
            raise Violation(PROTOCOL_ERROR.saying("A reserved bit is set, but no extension for it was negotiated."))
        if first & ~FINAL in (CLOSE, PING, PONG):
            raise Violation(PROTOCOL_ERROR.saying("A control frame in fragments."))
        raise Violation(PROTOCOL_ERROR.saying(f"There is no opcode {first & 0xF}."))
    if not second & _MASKED:
        raise Violation(PROTOCOL_ERROR.saying("A client's frame must be masked."))
    if first & _CONTROL and second & ~_MASKED > 125:
        raise Violation(PROTOCOL_ERROR.saying("A control frame of more than 125 bytes."))


def _payload_of(data: bytes, start: int, size: int) -> tuple[int, int]:
    """Return where the payload of the frame at ``start`` begins, and its length."""
    if size < 126:
        return start + 6, size
    width = 2 if size == 126 else 8
    field = data[start + 2 : start + 2 + width]
    if len(field) < width:
        return len(data) + 1, 0  # beyond the end, because the length is incomplete
    length = int.from_bytes(field, "big")
    if length < _SHORTEST[size] or length >> 63:
        raise Violation(PROTOCOL_ERROR.saying("A length is not written in the shortest form."))
    return start + 6 + width, length


def _close(payload: bytes) -> Close:
    if not payload:
        return Close(1005, "")
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (code in _CLOSE_CODES or code in _OWN_CLOSE_CODES):
        raise Violation(PROTOCOL_ERROR.saying("A close frame has an invalid code."))
    return Close(code, _text(payload[2:]))


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise Violation(NOT_UTF8) from error
