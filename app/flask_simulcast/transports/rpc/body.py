"""The body of a call: read to the byte, and bounded before and after it is decompressed."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import gevent
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from ...encoding.rpc.codes import CallError, Code
from ...loop import Breather, is_patched

#: One message, compressed or not: what gRPC's own libraries take.
MAX_MESSAGE_BYTES = 4 << 20

#: One message that only asks for something: names of channels, a position.
MAX_QUESTION_BYTES = 64 << 10

#: For a message, once it has begun, and for the only one of a call: 140 KB a second at least.
MESSAGE_SECONDS = 30.0
#: What the client is told of one that took longer.
TOO_SLOW = f"A message did not arrive within {MESSAGE_SECONDS:g} s. Send it faster."
# A client can send each byte as a chunk of HTTP, of which a piece of 8 KiB takes the server 30 ms. What is there already is read
# without a switch, so others are let in between pieces.
_PIECE_BYTES = 8 << 10
_breather = Breather(0.005)
_GZIP = 16 + zlib.MAX_WBITS
_TAKEN = ("gzip", "identity", "")


def exactly(source: IO[bytes], size: int) -> bytes:
    """Read this number of bytes, less at the end of the body. A server's ``read`` waits for all that it is asked for, so
    nothing more than the message that is on its way may be asked. Switches.

    Raises:
        CallError: The client's framing of HTTP is broken, or the client left.
    """
    pieces, missing = [], size
    while missing:
        piece = _piece(source, min(missing, _PIECE_BYTES))
        if not piece:
            break
        if is_patched():
            _breather.breathe()
        pieces.append(piece)
        missing -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def within_time(source: IO[bytes], size: int) -> bytes:
    """Do the same for a message that is on its way: it must be there after 30 seconds, where gevent has patched.

    Raises:
        CallError: As in `exactly`, or it was too slow.
    """
    with until(time.monotonic() + MESSAGE_SECONDS, TOO_SLOW):
        return exactly(source, size)


@contextmanager
def until(at: float | None, too_late: str) -> Iterator[None]:
    """End what a block waits for, where gevent has patched.

    Args:
        at: Monotonic seconds; None for no end.
        too_late: What the client is told.

    Raises:
        CallError: The time is over.
    """
    if at is None or not is_patched():
        yield
        return
    limit = gevent.Timeout(max(at - time.monotonic(), 0))
    try:
        with limit:
            yield
    except gevent.Timeout as timeout:
        if timeout is not limit:
            raise
        raise CallError(Code.DEADLINE_EXCEEDED, too_late) from None


def _piece(source: IO[bytes], size: int) -> bytes:
    try:
        return source.read(size)
    except Exception as error:
        of_client = (OSError, ClientDisconnected, RequestEntityTooLarge)
        if isinstance(error, of_client) or type(error).__module__ == "gunicorn.http.errors":
            raise CallError(Code.INVALID_ARGUMENT, "The body can't be read. Send it as its head says.") from None
        raise


def cut_off() -> CallError:
    """Return the error of a body that is whole, and whose last message is not."""
    return CallError(Code.INVALID_ARGUMENT, "The body ends in the middle of a message. Send all of it.")


def check_size(size: int, most: int) -> None:
    """Check the size of a message before it is read.

    Args:
        most: The largest that its call takes.

    Raises:
        CallError: It is too large.
    """
    if size > most:
        raise CallError(
            Code.RESOURCE_EXHAUSTED,
            f"A message has more than {most} bytes, which is the limit. Send a reference to the data.",
        )


def check_compression(name: str) -> None:
    """Check that the request is compressed in a way that is known here.

    Raises:
        CallError: It is not.
    """
    if name not in _TAKEN:
        raise CallError(Code.UNIMPLEMENTED, f"{name[:32]!a} is not known here. Send identity or gzip.")


def decompressed(data: bytes, compression: str, most: int) -> bytes:
    """Return a message as it was before its compression. A few bytes could become any number, so it stops at the limit.

    Args:
        most: As in `check_size`.

    Raises:
        CallError: It is too large, or not what it says.
    """
    if compression != "gzip":
        raise CallError(Code.INVALID_ARGUMENT, "A message is compressed, and no header says how. Name gzip in it.")
    reader: Any = zlib.decompressobj(_GZIP)
    try:
        message: bytes = reader.decompress(data, most + 1)
    except zlib.error:
        raise CallError(Code.INVALID_ARGUMENT, "A message is not gzip, although its header says so.") from None
    check_size(len(message), most)
    if not reader.eof:
        raise CallError(Code.INVALID_ARGUMENT, "A compressed message ends in its middle. Send all of it.")
    return message
