"""Call: one request as a call of a service: its dialect, its deadline, and its messages as they come."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import IO, TypeVar

from flask import Request
from google.protobuf.message import Message
from werkzeug.wsgi import get_input_stream

from ...encoding.rpc.codes import TOO_LATE, CallError, Code
from ...encoding.rpc.dialect import COMPRESSED, HEAD, Dialect
from . import body

M = TypeVar("M", bound=Message)

_MILLISECONDS = re.compile(r"[0-9]{1,10}", re.ASCII)  # Connect
_WITH_UNIT = re.compile(r"([0-9]{1,8})([HMSmun])", re.ASCII)  # gRPC
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


class Call:
    """One call.

    Args:
        request: Its request. Nothing has read its body.
        dialect: The dialect of its content type.

    Attributes:
        deadline: Monotonic seconds at which the client stops waiting; None for no end.
        most_bytes: Bytes of one message, compressed or not. A method that needs less lowers it before it reads.

    Raises:
        CallError: A header can't be used, or the deadline is over.
    """

    __slots__ = ("_compression", "_source", "deadline", "dialect", "most_bytes")

    def __init__(self, request: Request, dialect: Dialect) -> None:
        environ, protocol = request.environ, dialect.protocol
        self.dialect = dialect
        self.most_bytes = body.MAX_MESSAGE_BYTES
        self._source = get_input_stream(environ)
        self._compression: str = environ.get(protocol.compression, "").strip().lower()
        body.check_compression(self._compression)
        seconds = _seconds_of(environ.get(protocol.timeout))
        self.deadline = None if seconds is None else time.monotonic() + seconds
        self.check_deadline()

    def check_deadline(self) -> None:
        """Check that the client still waits for an answer.

        Raises:
            CallError: Its deadline is over.
        """
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise CallError(Code.DEADLINE_EXCEEDED, TOO_LATE)

    def message(self, kind: type[M]) -> M:
        """Return the only message of the client, which has 30 seconds to arrive, where gevent has patched. May switch.

        Raises:
            CallError: There is none, there is another one, or it can't be read.
        """
        if self.dialect.protocol.end is None:
            return self._plain(kind)
        with body.until(time.monotonic() + body.MESSAGE_SECONDS, body.TOO_SLOW):
            messages = list(zip(range(2), self.messages(kind), strict=False))
        if len(messages) != 1:
            raise CallError(Code.UNIMPLEMENTED, "This call takes one message. Send exactly one.")
        return messages[0][1]

    def messages(self, kind: type[M]) -> Iterator[M]:
        """Yield the messages of the client as they come, until it ends its side. Switches.

        Raises:
            CallError: One can't be read, or the deadline is over.
        """
        while head := self._read(HEAD.size, body.exactly):
            if len(head) < HEAD.size:
                raise body.cut_off()
            is_compressed, size = self._read_head(head)
            data = self._read(size, body.within_time)
            if len(data) < size:
                raise body.cut_off()
            self.check_deadline()
            yield self._decoded(data, kind, is_compressed=is_compressed)

    def taken_from(self, received: bytearray, kind: type[M]) -> M | None:
        """Take the first message out of what has been received; return None if it is not whole yet. Does not switch.

        Raises:
            CallError: It can't be read.
        """
        if len(received) < HEAD.size:
            return None
        is_compressed, size = self._read_head(received)
        end = HEAD.size + size
        if len(received) < end:
            return None
        data = bytes(received[HEAD.size : end])
        del received[:end]
        return self._decoded(data, kind, is_compressed=is_compressed)

    def let_go(self) -> None:
        """Forget the request, and the file of its body, which take more than the rest of a call."""
        del self._source

    def _plain(self, kind: type[M]) -> M:
        data = self._read(self.most_bytes + 1, body.within_time)
        body.check_size(len(data), self.most_bytes)
        return self._decoded(data, kind, is_compressed=self._compression == "gzip")

    def _read(self, size: int, read: Callable[[IO[bytes], int], bytes]) -> bytes:
        with body.until(self.deadline, TOO_LATE):
            return read(self._source, size)

    def _decoded(self, data: bytes, kind: type[M], *, is_compressed: bool) -> M:
        if is_compressed:
            data = body.decompressed(data, self._compression, self.most_bytes)
        return self.dialect.codec.decode(data, kind)

    def _read_head(self, head: bytes | bytearray) -> tuple[bool, int]:
        """Return whether a message is compressed, and its size.

        Raises:
            CallError: It is no message, or it is too large.
        """
        flags, size = HEAD.unpack_from(head)
        if flags & ~COMPRESSED:
            raise CallError(Code.INVALID_ARGUMENT, "The body is not a stream of messages. Send each in an envelope.")
        body.check_size(size, self.most_bytes)
        return bool(flags & COMPRESSED), size


def _seconds_of(header: str | None) -> float | None:
    """Return the seconds that a client gives its call; None for no limit.

    Raises:
        CallError: The header can't be read.
    """
    if not header:
        return None
    if _MILLISECONDS.fullmatch(header):
        return int(header) / 1000
    match = _WITH_UNIT.fullmatch(header)
    if match is None:
        raise CallError(Code.INVALID_ARGUMENT, f"{header[:32]!a} is not a timeout. Send a number as the protocol says.")
    return int(match[1]) * _UNITS[match[2]]
