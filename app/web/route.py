"""Route: what a client must be granted, what it sends and what it gets, said once. The same values let a request in, read it,
answer it, and describe it in the OpenAPI document.

A request goes through these steps, in this order. What fails at one does not reach the next.

1. The right: the path makes the names of its channels. Nothing of the body is read before.
2. The query.
3. The size of the body, as its head announces it; then the body, bounded in bytes and time.
4. The grant again: a token may end, or be revoked, while the body arrives.
5. The body is parsed.
6. The right again, where the body names channels.
7. The rate limit: only a body that can be published counts.
8. The view, which gets the path, the query and the body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Response
from msgspec import Struct

from ..extensions import simulcast
from ..flask_simulcast import Grant, client_input
from . import bodies, limits, query
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
        answers: For each status that is a success, the type of its JSON, its content for each media type, or None for no body.
            A view returns a Struct, which is answered with the status of its type; None for 204; or a response of Flask's.
        needs: The right; None for a route that is open to all.
        path: For each variable in the path, its type.
        query: A Struct whose fields are the query parameters.
        headers: For each header that it reads, what for.
        body: What the client sends.
        publishes: Number of events that count for the rate limit; or a function that returns it for a body.
        errors: Statuses besides those that follow from the rest.
    """

    answers: Mapping[int, Any]
    needs: Right | None
    path: Mapping[str, Any] = field(default_factory=dict)
    query: type[Struct] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    publishes: int | Callable[[Any], int] = 0
    errors: tuple[int, ...] = ()

    @property
    def access(self) -> Access:
        """Which credentials it takes."""
        return Access.OPEN if self.needs is None else self.needs.access

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
        if self.publishes:
            statuses |= {429, 503}
        if self.needs is not None:
            statuses |= {401, 403}
        return sorted(statuses)

    def content(self, status: int) -> Content | None:
        """What it answers with this status, for each media type; None for no body."""
        answer = self.answers[status]
        return answer if answer is None or isinstance(answer, Mapping) else {JSON: answer}

    def admit(self, path: Mapping[str, str]) -> Grant:
        """Return the grant of the current request if it has the right. Raises as `Right.require`."""
        return simulcast.grant() if self.needs is None else self.needs.require(path)

    def query_of(self) -> dict[str, Struct]:
        """Return the query of the current request, as a view gets it: nothing where the route has none."""
        return {} if self.query is None else {"query": query.read(self.query)}

    def serve(self, view: Callable[..., Any], path: Mapping[str, str]) -> Any:
        """Answer the current request: the steps of this module. Switches.

        Args:
            view: Called with the variables of the path, with ``query`` and with ``body``, where the route has them.
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
        text = bodies.read(body.most_bytes())
        simulcast.check_grant()
        parsed = body.parse(text)
        if self.needs is not None:
            self.needs.require_for(parsed)
        return parsed

    def _answer(self, answer: Any) -> Any:
        if answer is None:
            return Response(status=204)
        if isinstance(answer, Struct):
            return as_json(answer, next(status for status, type_ in self.answers.items() if type_ is type(answer)))
        return answer
