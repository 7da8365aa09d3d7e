"""Codes: how a call ends, in the words of gRPC, Connect and HTTP.

Source: gRPC, "Status codes and their use in gRPC", "HTTP to gRPC Status Code Mapping", and "Custom-Metadata" in "gRPC over
HTTP2"; Connect protocol, "Error codes".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

_NAME = re.compile(r"(?!grpc-)[0-9a-z_.-]+", re.ASCII)
_VALUE = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?", re.ASCII)
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?", re.ASCII)
_BINARY = "-bin"
# Fields that mean something to HTTP itself.
_OF_HTTP = frozenset(
    {
        "connection", "content-length", "content-type", "host", "keep-alive", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
    }
)  # fmt: skip


class Code(IntEnum):
    """The code of a call. Its value is gRPC's number."""

    OK = 0
    CANCELED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16

    @property
    def text(self) -> str:
        """The code as Connect writes it."""
        return self.name.lower()

    @property
    def status(self) -> int:
        """The HTTP status of a unary Connect call that ends with it."""
        return _STATUSES[self]


class CallError(Exception):
    """A call ends with this code. The message is for the client.

    Args:
        metadata: What the client is told besides, for programs. Names have ``a-z 0-9 _ . -``, and values printable ASCII; the
            value of a name with ``-bin`` at its end is base64.

    Raises:
        ValueError: The metadata can't be sent.
    """

    def __init__(self, code: Code, message: str, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self._metadata = dict(metadata or {})
        for name, value in self._metadata.items():
            _check_metadata(name, value)

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the client is told besides. It was checked, so it can't be changed."""
        return MappingProxyType(self._metadata)


def _check_metadata(name: object, value: object) -> None:
    """Check that a value can stand in a trailer of HTTP/2. A bad one would end the connection, with all of its calls.

    Raises:
        ValueError: It can't.
    """
    if not (isinstance(name, str) and _NAME.fullmatch(name)) or name in _OF_HTTP:
        raise ValueError(
            f"{name!a} is no name of metadata. Use a-z, 0-9, _, . and -, and neither a name of HTTP nor grpc- at its begin."
        )
    allowed = _BASE64 if name.endswith(_BINARY) else _VALUE
    if not (isinstance(value, str) and allowed.fullmatch(value)):
        raise ValueError(
            f"The value of the metadata {name} can't be sent. Give a str of printable ASCII; base64 if the name ends with -bin."
        )


#: What a client is told of a bug.
BUG = "The server failed. Its log says why."
#: What a client is told whose deadline is over.
TOO_LATE = "The deadline of the call is over. Give it more time."

_STATUSES = {
    Code.OK: 200,
    Code.CANCELED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}
_OF_STATUS = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    408: Code.DEADLINE_EXCEEDED,
    409: Code.FAILED_PRECONDITION,
    413: Code.RESOURCE_EXHAUSTED,
    429: Code.RESOURCE_EXHAUSTED,
    499: Code.CANCELED,
    503: Code.UNAVAILABLE,
    504: Code.DEADLINE_EXCEEDED,
}
# Of answers from elsewhere, as gRPC's own clients read them; all others are UNKNOWN.
_OF_FOREIGN_STATUS = {
    400: Code.INTERNAL,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.UNIMPLEMENTED,
    429: Code.UNAVAILABLE,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.UNAVAILABLE,
}
# Of the errors' own codes. An event that is perhaps stored must not look like one that is certainly not: clients repeat a call
# that ended with UNAVAILABLE.
_OF_ERROR = {"publish_uncertain": Code.UNKNOWN, "idempotency_conflict": Code.ALREADY_EXISTS}
# Of the reasons and codes with which a stream closes. After all others another worker, or the same one a moment later, takes
# the client.
_OF_REASON = {
    "finished": Code.OK,
    "deadline": Code.DEADLINE_EXCEEDED,
    "expired": Code.UNAUTHENTICATED,
    "revoked": Code.UNAUTHENTICATED,
    "kicked": Code.ABORTED,
    "limit": Code.RESOURCE_EXHAUSTED,
    "too_many_listeners": Code.RESOURCE_EXHAUSTED,
}
_WORDS = {
    "finished": "",
    "deadline": TOO_LATE,
    "draining": "This worker is about to stop. Call again, and another one answers.",
    "expired": "What let you in has expired. Get a new token.",
    "revoked": "What let you in was revoked. Get a new token.",
    "kicked": "The connection was closed by an operator. You may call again.",
}


def code_of_status(status: int, code: str = "") -> Code:
    """Return the code of an error that has this HTTP status, and this code of its own."""
    return _OF_ERROR.get(code) or _OF_STATUS.get(status, Code.INTERNAL)


def code_of_foreign_status(status: int) -> Code:
    """Return the code of a call whose answer is none of RPC, and has this HTTP status."""
    return _OF_FOREIGN_STATUS.get(status, Code.UNKNOWN)


def ending_of(reason: str) -> CallError:
    """Return how a call ends whose stream closes for this reason."""
    return CallError(_OF_REASON.get(reason, Code.UNAVAILABLE), _WORDS.get(reason, reason))
