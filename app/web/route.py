"""Route: what a client must be granted, what it sends and what it gets, said once. The same values check a request, parse it,
answer it, and describe it in the OpenAPI document.

A request takes these steps in this order. A request that fails at a step does not reach the next one.

1. The right is checked, on the channels that the path names. Nothing of the body is read before.
2. The query is parsed.
3. The size in the head is checked; then the body is read, bounded in bytes and in time.
4. The body is parsed.
5. The grant is checked again: a token might expire, or be revoked, while the body arrives and is parsed.
6. The right is checked again, if the body names channels.
7. The rate limit is checked. Only a body that can be published counts.
8. The view gets the path, the query and the body, and its result is encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Response
from msgspec import Struct

from ..extensions import simulcast
from ..flask_simulcast import Grant, client_input
from . import limits, query
from .answers import as_json
from .body import JSON, NDJSON, Body, Content
from .right import Access, Right

EVENT_STREAM = "text/event-stream"
#: What a stream answers, and what it reads besides its query.
STREAMS: Mapping[int, Any] = {200: {EVENT_STREAM: str, NDJSON: str}, 204: None}
RESUME_HEADER = {"Last-Event-ID": "The id of the last event that the client has. After `end` the answer is 204."}


@dataclass(frozen=True, kw_only=True)
class Route:
    """What a route takes and answers.

    Attributes:
        answers: For each status of a success the type of its JSON, or a type for each media type, or None for no body. A view
            returns a Struct, which is sent with the status of its type; or None for 204; or what Flask takes.
        needs: The right; None for a route that is open to all clients.
        path: For each variable in the path, its type.
        query: A Struct whose fields are the query parameters.
        headers: For each header that it reads, what the header is for, or a type whose description says so.
        body: What the client sends; None for nothing.
        publishes: Number of events that count for the rate limit, or a function that returns it for a body.
        errors: Statuses besides those that follow from the rest.
    """

    answers: Mapping[int, Any]
    needs: Right | None
    path: Mapping[str, Any] = field(default_factory=dict)
    query: type[Struct] | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    body: Body | None = None
    publishes: int | Callable[[Any], int] = 0
    errors: tuple[int, ...] = ()

    @property
    def access(self) -> Access:
        """The credentials that it takes."""
        return Access.OPEN if self.needs is None else self.needs.access

    @property
    def error_statuses(self) -> list[int]:
        """The statuses of its errors, in order."""
        statuses = set(self.errors)
        if self.path or self.query or self.body:
            statuses.add(400)
        if self.path:
            statuses.add(404)
        if self.body:
            statuses.add(413)
        if self.publishes:
            statuses |= {429, 503}
        if self.needs is not None:
            statuses |= {401, 403}
        return sorted(statuses)

    def content(self, status: int) -> Content | None:
        """Return the type for each media type of this status; None for no body."""
        answer = self.answers[status]
        return answer if answer is None or isinstance(answer, Mapping) else {JSON: answer}

    def admit(self, path: Mapping[str, str]) -> Grant:
        """Return the grant of the current request if it has the right. Raises as `Right.require`."""
        return simulcast.grant() if self.needs is None else self.needs.require(path)

    def query_of(self) -> dict[str, Struct]:
        """Return the query of the current request as an argument of the view; none if the route has no query."""
        return {} if self.query is None else {"query": query.read(self.query)}

    def serve(self, view: Callable[..., Any], path: Mapping[str, str]) -> Any:
        """Answer the current request, in the steps of this module. Switches.

        Args:
            view: Called with the variables of the path, with ``query`` and with ``body``, if the route has them.
        """
        self.admit(path)
        given: dict[str, Any] = {**path, **self.query_of()}
        if self.body is not None:
            given["body"] = self._body(self.body)
        if not self.publishes:
            return self._answer(view(**given))
        limits.check_publish(self.publishes if isinstance(self.publishes, int) else self.publishes(given["body"]))
        with client_input():
            return self._answer(view(**given))

    def _body(self, body: Body) -> Any:
        parsed = body.receive()
        simulcast.check_grant()
        if self.needs is not None:
            self.needs.require_for(parsed)
        return parsed

    def _answer(self, answer: Any) -> Any:
        if answer is None:
            return Response(status=204)
        if isinstance(answer, Struct):
            return as_json(answer, next(status for status, type_ in self.answers.items() if type_ is type(answer)))
        return answer
