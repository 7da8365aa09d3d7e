"""Errors between a client and a server.

ClientError
├── UnreachableError   not now: the same might succeed later
└── RefusedError       not like this: a person must change something
"""

from __future__ import annotations


class ClientError(Exception):
    """The server has not done what it was asked for.

    Attributes:
        reason: For programs: ``lost``, ``silent``, ``unauthorized``, or a code of the server.
        retry_after: Seconds for which the server wants no further try; 0 if it named none.
    """

    def __init__(self, message: str, *, reason: str, retry_after: float = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after


class UnreachableError(ClientError):
    """The server can't be reached, the connection was cut, or the server is busy or about to stop."""


class RefusedError(ClientError):
    """The token does not allow it, or the request is wrong."""
