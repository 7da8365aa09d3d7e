"""Right: what a route needs of a client's grant. `identity.rights` has the usual ones."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from ..flask_simulcast import Grant


class Access(enum.Enum):
    """The credentials that a route takes: names of security schemes, one of which is enough. The empty name stands for none."""

    OPEN = ()
    LISTEN = ("", "bearer", "cookie", "ticket")
    READ = ("", "bearer", "cookie")
    GRANTED = ("bearer", "cookie")


class Right(ABC):
    """What a client must be granted for a route.

    Attributes:
        access: The credentials that may carry it.
        text: The right in words, for the document.
    """

    access: ClassVar[Access]
    text: str

    @abstractmethod
    def require(self, path: Mapping[str, str]) -> Grant:
        """Return the grant of the current request if it has this right. Asked before the body is read.

        Args:
            path: The variables of the route's rule.

        Raises:
            UnauthorizedError, ForbiddenError: It does not have it.
            ApiError: 400 or 404. The path does not name a channel.
        """

    def require_for(self, body: Any) -> None:  # noqa: B027 (most rights do not depend on the body)
        """Check the right on what the parsed body names. Raises as `require`."""
