"""Errors between an agent and the service.

AgentError
├── AwayError      not now: try again later
└── RefusedError   never like this: a person must change something
"""

from __future__ import annotations


class AgentError(Exception):
    """The service has not carried out a request.

    Attributes:
        retry_after: Seconds after which the service wants the next attempt; None if it named none.
    """

    retry_after: float | None = None


class AwayError(AgentError):
    """The service can't be reached, the connection was cut, or the service is busy or about to stop."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RefusedError(AgentError):
    """The token does not allow it, or the name belongs to another client."""
