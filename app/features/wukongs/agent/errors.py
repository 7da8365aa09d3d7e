"""What can go wrong between an agent and the service.

AgentError
├── AwayError      not now: try again, after a while
└── RefusedError   the request or the configuration must change
"""

from __future__ import annotations


class AgentError(Exception):
    """The service has not done what it was asked.

    Attributes:
        retry_after: Seconds that it wants to be left alone; None where it has not said so.
    """

    retry_after: float | None = None


class AwayError(AgentError):
    """It can't be reached, the connection was cut, or it is busy or about to stop."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RefusedError(AgentError):
    """The token does not allow it, or the name belongs to another agent."""
