"""Listen to a stream of an app by Flask's test client, and never hang."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ..encoding.sse_reader import SSEEvent, SSEReader
from ..event import Event, Position
from .ndjson import NDJSONReader

_READERS: dict[str | None, Callable[[], SSEReader | NDJSONReader]] = {
    "text/event-stream": SSEReader,
    "application/x-ndjson": NDJSONReader,
}
_QUIET = ("connected", "heartbeat")


@contextmanager
def listen(
    client: FlaskClient, url: str, *, last_event_id: str = "", seconds: float = 5.0, **options: Any
) -> Iterator[Listening]:
    """Open a stream of the app, and read it beside the test, with or without gevent's patches::

        with listen(client, "/orders/stream") as stream:
            client.post("/orders", json={"price": 3})
            assert stream.next("created").json["price"] == 3

    A view that writes its stream itself runs to its end first.

    Args:
        client: Flask's test client. Its cookies go with the request.
        url: The address of the stream.
        last_event_id: The id to resume from: that of another stream's last event.
        seconds: Longest wait of each method; also of the end of the block.
        options: Options of ``client.get``, for example ``headers``.

    Raises:
        AssertionError: The answer is not a stream.
    """
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_event_id} if last_event_id else {})
    response = client.get(url, headers=headers | dict(options.pop("headers", {})), **options)
    if response.mimetype not in _READERS:
        told = response.get_data(as_text=True)[:500] if response.status_code >= 400 else ""
        response.close()
        raise AssertionError(f"GET {url} answered {response.status} with {response.mimetype}, not a stream. {told}")
    stream = Listening(response, seconds)
    try:
        yield stream
    finally:
        stream.close()


class Listening:
    """An open stream. `listen` makes it.

    Attributes:
        response: The answer, with its status and headers.
        events: All events that have arrived, also ``connected`` and ``heartbeat``.
    """

    def __init__(self, response: TestResponse, seconds: float) -> None:
        self.response = response
        self.events: list[SSEEvent] = []
        self._seconds = seconds
        self._reader = _READERS[response.mimetype]()
        self._returned = 0
        self._is_left = False
        self._is_over = False
        self._error: BaseException | None = None
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="listen", daemon=True)
        self._thread.start()

    @property
    def last_event_id(self) -> str:
        """The id that a client would resume from now."""
        return next((event.id for event in reversed(self.events) if event.id), "")

    def next(self, type: str = "") -> SSEEvent:
        """Wait for the next event that this method has not returned yet. ``connected`` and ``heartbeat`` are passed over.

        Args:
            type: Pass over all other types.

        Raises:
            AssertionError: None came in time, or the stream has ended.
        """
        return self._wait(lambda event: event.type == type if type else event.type not in _QUIET, type or "any type")[
            -1
        ]

    def until(self, published: Event) -> list[SSEEvent]:
        """Wait for an event that the test has published, and return the events before it, and it. So a test sees that
        something was not sent: publish one more event, and look at those before it.

        Raises:
            AssertionError: It did not come in time, or the stream has ended.
        """
        events = self._wait(
            lambda event: Position.parse(event.id) == published.position and event.type not in _QUIET,
            f"the id {published.position}",
        )
        return [event for event in events if event.type not in _QUIET]

    def close(self) -> None:
        """Leave the stream. Waits until its view has released everything.

        Raises:
            AssertionError: It does not end.
        """
        self._is_left = True
        with suppress(ValueError):  # a generator that runs can't be closed from here: the reader closes it
            self.response.close()
        self._thread.join(self._seconds)
        if self._thread.is_alive():
            raise AssertionError(f"The stream did not end within {self._seconds} s after its client had left.")

    def _wait(self, is_it: Callable[[SSEEvent], bool], wanted: str) -> list[SSEEvent]:
        """Return the events that were not returned yet, up to the first that is wanted."""
        start = self._returned

        def place() -> int | None:
            return next((n for n in range(start, len(self.events)) if is_it(self.events[n])), None)

        with self._more:
            self._more.wait_for(lambda: self._is_over or place() is not None, self._seconds)
        end = place()
        if end is None:
            ended = "The stream has ended" if self._is_over else f"Not within {self._seconds} s"
            came = ", ".join(event.type for event in self.events[start:]) or "none"
            raise AssertionError(f"{ended}: an event of {wanted} did not come. These came: {came}.") from self._error
        self._returned = end + 1
        return self.events[start : end + 1]

    def _read(self) -> None:
        try:
            for chunk in self.response.response:
                if self._is_left:
                    self.response.close()
                    break
                with self._more:
                    self.events += self._reader.feed(chunk if isinstance(chunk, bytes) else chunk.encode())
                    self._more.notify_all()
        except BaseException as error:
            self._error = error
        finally:
            with self._more:
                self._is_over = True
                self._more.notify_all()
