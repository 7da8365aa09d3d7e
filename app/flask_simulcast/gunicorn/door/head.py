"""Head: the head of a request that leaves no doubt. Pure.

It takes a strict subset of what gunicorn's parsers accept, and reads it in the same way: a GET or a POST of HTTP/1.1, printable
ASCII, each field once, no body but one of a stated length. Every other head is None, and gunicorn's: a fuzz compares the two.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

#: What gunicorn reads at once.
MOST_BYTES = 8192
_MOST_BODY_BYTES = 64 << 10
_END = b"\r\n\r\n"
# No underscore in names: gunicorn refuses or drops such a field, because in an environ it looks like the one with a dash.
_HEAD = re.compile(rb"(?:GET|POST) /[!-~]* HTTP/1\.1(?:\r\n[!#$%&'*+.^`|~0-9A-Za-z-]+:[ -~]*)*")
# They change the framing, or ask for an answer before the body has come.
_NOT_HERE = frozenset({"TRANSFER-ENCODING", "TE", "TRAILER", "EXPECT", "UPGRADE", "HTTP2-SETTINGS", "CONTENT-ENCODING"})
_LENGTH = re.compile("[0-9]{1,5}")
_STAYS_OPEN = {"close": False, "keep-alive": True}
# A client that keeps its connection sends the same head again: reading it takes 13 µs.
_MOST_REMEMBERED = 256
_OWN_KEYS = {"CONTENT-TYPE": "CONTENT_TYPE", "CONTENT-LENGTH": "CONTENT_LENGTH"}


class Head(NamedTuple):
    """The head of one request.

    Attributes:
        method, target, path, query: As gunicorn has them.
        headers: Values by name, in upper case.
        environ: What it puts into an environ. It is shared: copy it.
        size: Bytes of the head, with its empty line.
        length: Bytes of the body.
        stays_open: Whether the client lets the connection stay open.
    """

    method: str
    target: str
    path: str
    query: str
    headers: dict[str, str]
    environ: dict[str, str]
    size: int
    length: int
    stays_open: bool


class Limits(NamedTuple):
    """gunicorn's limits of a head: bytes of the request line, number of fields, bytes of a field."""

    line: int
    fields: int
    field: int

    @classmethod
    def of(cls, cfg: Any) -> Limits:
        """Return those of a configuration. Its 0 stands for the most that gunicorn allows, which is more than fits here."""
        return cls(
            *(
                n if n > 0 else MOST_BYTES
                for n in (cfg.limit_request_line, cfg.limit_request_fields, cfg.limit_request_field_size)
            )
        )


def parse(data: bytes, limits: Limits) -> Head | None:
    """Return the head that these bytes begin with; None if it is not complete, or gunicorn must read it."""
    end = data.find(_END)
    return None if end < 0 or end > MOST_BYTES - len(_END) else _read(data[:end], limits)


@lru_cache(_MOST_REMEMBERED)
def _read(data: bytes, limits: Limits) -> Head | None:
    if _HEAD.fullmatch(data) is None:
        return None
    first, *lines = data.decode("ascii").split("\r\n")
    method, target, _ = first.split(" ")
    if len(first) + 2 > limits.line or len(lines) > limits.fields or "#" in target or target.startswith("//"):
        return None
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.upper()] = value.strip(" ")
        if len(line) + 2 > limits.field:
            return None
    length = headers.get("CONTENT-LENGTH", "0")
    is_plain = len(headers) == len(lines) and _NOT_HERE.isdisjoint(headers) and _LENGTH.fullmatch(length) is not None
    stays_open = _STAYS_OPEN.get(headers.get("CONNECTION", "keep-alive").lower())
    if (
        not is_plain
        or stays_open is None
        or int(length) > _MOST_BODY_BYTES
        or (("CONTENT-LENGTH" in headers) != (method == "POST"))
    ):
        return None
    path, _, query = target.partition("?")
    environ = {_OWN_KEYS.get(name) or "HTTP_" + name.replace("-", "_"): value for name, value in headers.items()}
    environ |= {"REQUEST_METHOD": method, "RAW_URI": target, "PATH_INFO": path, "QUERY_STRING": query}
    return Head(method, target, path, query, headers, environ, len(data) + len(_END), int(length), stays_open)
