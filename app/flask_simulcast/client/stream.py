"""Stream: events in a loop that comes back by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from http.client import HTTPResponse
from typing import Any

from ..encoding.sse_reader import SSEReader
from .address import Address
from .answers import refusal
from .backoff import MOST_RETRY_AFTER_SECONDS, Backoff
from .errors import RefusedError, UnreachableError
from .event import ReceivedEvent, received
from .place import Place
from .status import State, Status
from .wire import Wire

_TYPE = "text/event-stream"
_NOTICES = frozenset({"connected", "heartbeat"})
#: Silence, in heartbeats: a stream is stale after the first, and dead after both.
_STALE, _DEAD = 1.5, 1.0
#: A connection that lived for this long was a good one: the next wait begins small.
_GOOD_SECONDS = 10.0


class Stream:
    """The events of one listener: ``for event in stream``. One thread iterates; any thread may close it.

    A lost connection is opened again, and resumes after the event that the loop had last. So an event counts as handled when
    the loop asks for the next one. The loop ends when the server says that the stream is over, or at `close`.

    Args:
        address: The server.
        target: Path and query of the stream.
        headers: Called before each try.
        can_renew: Whether the next call might return another token.
        position: Position to resume from; empty to begin as the server likes.
        heartbeat_seconds: Heartbeat of the server.
        most_seconds: Longest wait between two tries, if the server does not ask for more.
        on_state: Called with each change of the status, in the thread that iterates or closes.
    """

    def __init__(
        self,
        address: Address,
        target: str,
        *,
        headers: Callable[[], dict[str, str]],
        can_renew: bool,
        position: str,
        heartbeat_seconds: float,
        most_seconds: float,
        on_state: Callable[[Status], object] | None,
    ) -> None:
        self._address = address
        self._target = target
        self._headers = headers
        self._can_renew = can_renew
        self._waits = (_STALE * heartbeat_seconds, _DEAD * heartbeat_seconds)
        self._on_state = on_state
        self._place = Place(position)
        self._backoff = Backoff(most_seconds)
        self._closing = threading.Event()
        self._wire: Wire | None = None
        self._live_at: float | None = None
        self._status = Status("connecting")
        self._events = self._run()

    @property
    def status(self) -> Status:
        """How it is now."""
        return self._status

    @property
    def position(self) -> str:
        """Up to where the loop has all events: what a later ``listen`` resumes from."""
        return self._place.position

    def __iter__(self) -> Iterator[ReceivedEvent]:
        return self

    def __next__(self) -> ReceivedEvent:
        return next(self._events)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the loop, from any thread. Its wait ends at once, except while a connection is being made. Returns at once."""
        self._closing.set()
        if self._wire is not None:
            self._wire.cut()
        with suppress(ValueError):  # another thread waits in it, and ends it
            self._events.close()
        self._enter("closed", "closed")

    def _run(self) -> Generator[ReceivedEvent, None, None]:
        while not self._closing.is_set():
            try:
                yield from self._connection()
                self._enter("closed", "finished")
                return
            except UnreachableError as error:
                self._pause(error)
            except RefusedError as error:
                self._enter("closed", error.reason)
                raise

    def _connection(self) -> Iterator[ReceivedEvent]:
        """Yield the events of one connection; return when the stream is over."""
        self._live_at = None
        headers = {**self._headers(), "Accept": _TYPE, "Cache-Control": "no-cache"}
        if self.position:
            headers["Last-Event-ID"] = self.position.encode().decode("latin-1")  # UTF-8, as a browser sends it
        self._wire = wire = Wire(self._address, self._doubt)
        try:
            response = wire.send("GET", self._target, headers)
            if response.status == 204:
                return
            self._check(response)
            wire.waits = self._waits
            yield from self._read(wire, response)
        finally:
            self._wire = None
            wire.close()

    def _read(self, wire: Wire, response: HTTPResponse) -> Iterator[ReceivedEvent]:
        reader, last_id = SSEReader(), ""
        while chunk := wire.read(response):
            if self._status.state == "stale":
                self._enter("live")
            for event in reader.feed(chunk):
                id, last_id = ("" if event.id == last_id else event.id), event.id
                if event.type == "closed":
                    return self._hear_goodbye(received(event, ""), (reader.retry_ms or 0) / 1000)
                taken = self._place.take(received(event, id))
                if taken is not None:
                    self._is_live()
                    if taken.type not in _NOTICES:
                        yield taken
                if self._closing.is_set():
                    return None
            if reader.retry_ms is not None:
                self._backoff.first_seconds = reader.retry_ms / 1000
        raise UnreachableError("The stream was cut off.", reason="lost")

    def _check(self, response: HTTPResponse) -> None:
        if response.status != 200:
            raise refusal(response)
        if response.headers.get_content_type() != _TYPE:
            text = (
                f"The server answers with {response.headers.get_content_type()[:64]!a}. Use the URL of an event stream."
            )
            raise RefusedError(text, reason="not_a_stream")

    def _hear_goodbye(self, event: ReceivedEvent, asked_seconds: float) -> None:
        data: dict[str, Any] = event.data if isinstance(event.data, dict) else {}
        reason = str(data.get("reason", ""))[:64]
        if data.get("reconnect", True) or (reason == "expired" and self._can_renew):
            seconds = min(asked_seconds, MOST_RETRY_AFTER_SECONDS)
            raise UnreachableError(f"The server ends the stream: {reason}.", reason=reason, retry_after=seconds)
        if reason != "finished":
            raise RefusedError(f"The server ends the stream for good: {reason}.", reason=reason)

    def _is_live(self) -> None:
        if self._live_at is None:
            self._live_at = time.monotonic()
            self._enter("live")

    def _doubt(self) -> None:
        if self._status.state == "live":
            self._enter("stale", "silent")

    def _pause(self, error: UnreachableError) -> None:
        if self._live_at is not None and time.monotonic() - self._live_at >= _GOOD_SECONDS:
            self._backoff.reset()
        seconds = self._backoff.wait(error.retry_after)
        self._enter("reconnecting", error.reason, seconds)
        self._closing.wait(seconds)

    def _enter(self, state: State, reason: str = "", wait_seconds: float = 0.0) -> None:
        if self._status.state == "closed" or (self._closing.is_set() and state != "closed"):
            return
        self._status = Status(state, reason, wait_seconds)
        if self._on_state is not None:
            self._on_state(self._status)
