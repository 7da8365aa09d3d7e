"""Visit: one URL that the doctor looks at, with what it has learned so far. The checks of the stream share it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from ..encoding.sse_reader import SSEEvent
from ..transports.goodbye import END_ID
from ..transports.mirror import CONTENT_TYPE, COOKIE, HEADER, Reflection
from .answer import Answer
from .beside import Beside
from .client import Target
from .errors import BadInputError, SilentError

CONNECTED = "connected"
_NOT_LET_IN = {401: "does not know this client", 403: "refuses this client"}
_AWAY = frozenset({502, 504})


@dataclass
class Visit:
    """A URL under examination.

    Attributes:
        target: What to ask.
        beside: The log of the app; None if only the URL is known.
        is_patient: Whether to wait until an impatient proxy would have cut the stream.
        answer: The first stream; None if no head came.
        connected: Its ``connected`` event; None if it did not come.
        reflection: What a worker saw of a request; None if none told.
        server: How the server that answered calls itself.
    """

    target: Target
    beside: Beside | None = None
    is_patient: bool = False
    answer: Answer | None = None
    connected: SSEEvent | None = None
    reflection: Reflection | None = None
    server: str = ""
    _streams: list[Answer] = field(default_factory=list)

    def stream(self, *, resume: str = "") -> Answer:
        """Open another stream, which `close` closes.

        Args:
            resume: Position to resume from, sent in the header and in the query.

        Raises:
            BadInputError, SilentError: As `Target.open`; or the server does not let another stream in.
        """
        if self.has_ticket:
            raise BadInputError(
                "A ticket lets in one stream at a time, so there was no second one. Use --token instead."
            )
        query = {"last_event_id": resume} if resume else {}
        answer = self.target.open(query=query, headers={"Last-Event-ID": resume} if resume else {})
        self._streams.append(answer)
        if answer.status >= 400:
            raise BadInputError(f"Another stream was answered {answer.status}.")
        return answer

    def ended_status(self, *, by_header: bool = False, by_query: bool = False) -> int:
        """Ask as a client whose stream has ended for good. Return the status: 204 if the server learned of that.

        Raises:
            BadInputError, SilentError: As `Target.open`.
        """
        answer = self.target.open(
            query={"last_event_id": END_ID} if by_query else {}, headers={"Last-Event-ID": END_ID} if by_header else {}
        )
        answer.close()
        return answer.status

    def begin(self) -> None:
        """Open the first stream, and wait for its first event.

        Raises:
            BadInputError: There is no stream at the URL, or not for this client.
        """
        try:
            self.answer = self.target.follow()
        except SilentError:
            self._check_alive()
            return
        self._streams.append(self.answer)
        self._check_status(self.answer)
        if self.answer.status == 200:
            self._check_kind(self.answer)

    def look_into_mirror(self) -> None:
        """Ask a worker what it sees of a request. Nothing is learned without the log, or from a server with another log."""
        if self.beside is None:
            return
        headers = {HEADER: self.beside.key, "Cookie": f"{COOKIE}={self.beside.key}"}
        try:
            answer = self.target.open(headers=headers)
        except (BadInputError, SilentError):
            return
        self.server = answer.server
        if answer.status == 200 and answer.media_type == CONTENT_TYPE:
            with suppress(ValueError):  # a proxy broke it
                self.reflection = json.loads(answer.body())
        answer.close()

    def close(self) -> None:
        """Close all streams, and let no worker know the doctor from here on."""
        if self.beside is not None:
            self.beside.close()
        for answer in self._streams:
            answer.close()
        self._streams.clear()

    def _check_alive(self) -> None:
        """Tell a stream that is held back from a server that does not answer."""
        try:
            self.ended_status(by_header=True, by_query=True)
        except SilentError:
            raise BadInputError(
                f"{self.target.shown} answers nothing within {self.target.seconds:g} s. Is the server up?"
            ) from None

    def _check_status(self, answer: Answer) -> None:
        status, url = answer.status, self.target.shown
        if status in _NOT_LET_IN:
            raise BadInputError(f"{url} {_NOT_LET_IN[status]} ({status}). Use --token, --ticket or --header.")
        if status != 200 and status < 500:
            raise BadInputError(f"{url} answers {status}, which is no stream. Give the URL of one.")

    def _check_kind(self, answer: Answer) -> None:
        """Check that the body is an event stream, whatever its type says."""
        event = answer.event_of({CONNECTED}, self.target.seconds)
        self.connected = event if event is not None and _names_listener(event) else None
        begins = answer.heard[:200].lstrip().lower()
        is_encoded = bool(answer.header("Content-Encoding"))
        if self.connected is not None or is_encoded or (not begins and answer.media_type == "text/event-stream"):
            return
        if begins.startswith((b"<!doctype html", b"<html")) or answer.media_type == "text/html":
            raise BadInputError(
                f"{self.target.shown} is an HTML page, not a stream. Give the URL of the stream that it opens."
            )
        if answer.media_type != "text/event-stream":
            raise BadInputError(f"{self.target.shown} answers {answer.media_type or 'no type'}, not an event stream.")
        raise BadInputError(
            f"{self.target.shown} is an event stream without `connected`, so it is not one of simulcast.sse()."
        )

    @property
    def has_ticket(self) -> bool:
        """Whether a ticket lets this client in. It belongs to the URL, which must stay as it is."""
        return "ticket" in parse_qs(urlsplit(self.target.url).query)

    @property
    def is_away(self) -> bool:
        """Whether a proxy answers that it can't reach the app."""
        return self.answer is not None and self.answer.status in _AWAY


def _names_listener(event: SSEEvent) -> bool:
    """Tell whether an event is our `connected`: other servers have events of this name, too."""
    try:
        return "listener" in json.loads(event.data)
    except (ValueError, TypeError):
        return False
