"""Operation: what a route takes and answers. Written next to the route, read by the document."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

JSON = "application/json"
NDJSON = "application/x-ndjson"
EVENT_STREAM = "text/event-stream"
#: What a stream answers, and what it reads besides its query.
STREAMS: Mapping[int, Mapping[str, Any] | None] = {200: {EVENT_STREAM: str, NDJSON: str}, 204: None}
RESUME_HEADER = {"Last-Event-ID": "The id of the last event that the client has. After `end` the answer is 204."}
_ATTRIBUTE = "openapi_operation"

Content = Mapping[str, Any]
"""Media types, each with the type of what it carries: what msgspec can make a schema of."""
F = TypeVar("F", bound=Callable[..., Any])


class Access(enum.Enum):
    """Who may call a route. The value names the security schemes, any of which will do; the empty one is none at all."""

    OPEN = ()
    LISTEN = ("", "bearer", "cookie", "ticket")
    READ = ("", "bearer", "cookie")
    GRANTED = ("bearer", "cookie")


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What a route takes and answers.

    Attributes:
        answers: For each status that is a success, its content; None for no body.
        access: Who may call it.
        needs: Of which grant, in words.
        path: For each parameter in the path, its type.
        query: A Struct whose fields are the query parameters.
        headers: For each header that it reads, what for.
        body: Content of the request.
        body_is_optional: Whether it may be left out.
        errors: Statuses besides those that follow from the rest: 400 and 404 for parameters, 413 for a body, 401 and 403 for a grant.
    """

    answers: Mapping[int, Content | None]
    access: Access = Access.OPEN
    needs: str = ""
    path: Mapping[str, Any] = field(default_factory=dict)
    query: type | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Content | None = None
    body_is_optional: bool = False
    errors: tuple[int, ...] = ()

    @property
    def error_statuses(self) -> list[int]:
        """All errors that it answers, in order."""
        statuses = set(self.errors)
        if self.path or self.query or self.body:
            statuses.add(400)
        if self.path:
            statuses.add(404)
        if self.body:
            statuses.add(413)
        if self.access is not Access.OPEN:
            statuses |= {401, 403}
        return sorted(statuses)


def describes(operation: Operation) -> Callable[[F], F]:
    """Attach an operation to its view. The view's docstring is its summary, and the description behind it."""

    def attach(view: F) -> F:
        setattr(view, _ATTRIBUTE, operation)
        return view

    return attach


def operation_of(view: Callable[..., Any] | None) -> Operation | None:
    """The operation of a view; None for a page or a file."""
    return getattr(view, _ATTRIBUTE, None)
