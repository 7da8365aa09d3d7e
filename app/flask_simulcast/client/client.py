"""Client: listens to a server, and publishes there."""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from .address import API, Address
from .answers import body_of, refusal
from .backoff import Backoff
from .errors import RefusedError, UnreachableError
from .status import Status
from .stream import Stream
from .wire import Wire

_TOKEN = re.compile(r"[!-~]{1,8192}")  # goes into a header
_MOST_IDLE = 8


class Client:
    """A server, with what this program shows it. Threads may share it. It needs neither Flask nor gevent.

    Args:
        url: URL of the service, with its prefix if it has one; or of one stream: ``https://shop.example/orders/stream``.
        token: Sent as ``Authorization: Bearer``. A function is called before each request, so a token can be renewed.
        headers: Sent with each request.
        heartbeat_seconds: Heartbeat of the server (``SIMULCAST_HEARTBEAT_SECONDS``).
        max_retry_seconds: Longest wait between two tries of a stream, if the server does not ask for more.

    Raises:
        ValueError: The URL can't be used.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | Callable[[], str] | None = None,
        headers: Mapping[str, str] | None = None,
        heartbeat_seconds: float = 15.0,
        max_retry_seconds: float = 30.0,
    ) -> None:
        self._address = Address.parse(url)
        self._token = token
        self._more_headers = dict(headers or {})
        self._heartbeat_seconds = heartbeat_seconds
        self._max_retry_seconds = max_retry_seconds
        self._idle: deque[Wire] = deque()
        self._busy: set[Wire] = set()
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()
        self._closing = threading.Event()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def listen(
        self,
        *channels: str,
        position: str = "",
        replay: int = 0,
        on_state: Callable[[Status], object] | None = None,
    ) -> Stream:
        """Return the events of channels, in a loop that comes back by itself.

        Args:
            channels: Names of channels of the service. Without a name, the client's URL is that of the stream.
            position: Begin after this position, for example that of the last event that this program has handled.
            replay: With names of channels and without a position, begin with this number of recent events.
            on_state: Called with each change of the stream's status.

        Raises:
            ValueError: The position or the replay can't be used.
        """
        if replay and not channels:
            raise ValueError(
                "The view of a stream chooses its own replay. Leave it out, or name channels of the service"
            )
        if not set(position).isdisjoint("\r\n\0"):
            raise ValueError("A position is one line. Use one that an event has had")
        stream = Stream(
            self._address,
            self._address.stream(channels, replay),
            headers=self._headers,
            can_renew=callable(self._token),
            position=position,
            heartbeat_seconds=self._heartbeat_seconds,
            most_seconds=self._max_retry_seconds,
            on_state=on_state,
        )
        self._streams.add(stream)
        return stream

    def publish(
        self,
        channel: str,
        data: object,
        *,
        type: str = "message",
        idempotency_key: str | None = None,
        retry_seconds: float = 30.0,
    ) -> str:
        """Publish one event by the service, and return its position.

        While the service can't be reached, it is tried again, always with one key, so the event is stored once.

        Args:
            channel: Name of a channel.
            data: Anything that JSON can hold.
            type: Type of the event.
            idempotency_key: For a program that might publish the same event again after its own restart. One is made if None.
            retry_seconds: Seconds after which no other try begins. The service knows a key for 300 s.

        Raises:
            UnreachableError: The service was away for this time. The event might be stored: publish it again with the same key.
            RefusedError: The token does not allow it, or the event can't be published.
        """
        body = {"channel": channel, "data": data, "type": type}
        body["idempotency_key"] = idempotency_key or secrets.token_hex(16)
        deadline, backoff = _now() + retry_seconds, Backoff()
        while True:
            try:
                return _position(self.request("POST", f"{API}/events", body))
            except UnreachableError as error:
                seconds = backoff.wait(error.retry_after)
                if _now() + seconds > deadline or self._closing.wait(seconds) or _now() > deadline:
                    raise  # the machine may have slept meanwhile, and the service has forgotten the key

    def request(self, method: str, path: str, body: object = None, **query: object) -> Any:
        """Send a request to any route below the URL, and return the JSON of its answer. It is sent once.

        Raises:
            UnreachableError: There is no answer, or it says that a later try might succeed. The request might be carried out.
            RefusedError: The answer says that the request is wrong, or not allowed.
        """
        headers = self._headers() | ({} if body is None else {"Content-Type": "application/json"})
        text = None if body is None else json.dumps(body, allow_nan=False).encode()
        wire, is_kept = self._free_wire(), False
        self._busy.add(wire)
        try:
            response = wire.send(method, self._address.of(path, **query), headers, text)
            if not 200 <= response.status < 300:
                raise refusal(response)
            answer = body_of(response)
            is_kept = response.isclosed() and len(self._idle) < _MOST_IDLE and not self._closing.is_set()
            return answer
        finally:
            self._busy.discard(wire)
            if is_kept:
                self._idle.append(wire)  # last: from here on it belongs to the thread that takes it
            else:
                wire.close()

    def close(self) -> None:
        """End all its streams and requests, from any thread."""
        self._closing.set()
        for stream in list(self._streams):
            stream.close()
        for wire in list(self._busy):
            wire.cut()
        while self._idle:
            self._idle.pop().close()

    def _free_wire(self) -> Wire:
        """Return a connection that no other thread uses."""
        while True:
            try:
                wire = self._idle.pop()
            except IndexError:
                return Wire(self._address)
            if wire.is_usable:
                return wire
            wire.close()

    def _headers(self) -> dict[str, str]:
        token = self._token() if callable(self._token) else self._token
        if token is None:
            return dict(self._more_headers)
        if _TOKEN.fullmatch(token) is None:  # no message quotes it: a wrong token is a secret, too
            text = "The token is empty or has characters that no token has. Check how it was copied."
            raise RefusedError(text, reason="invalid_token")
        return {**self._more_headers, "Authorization": f"Bearer {token}"}


def _now() -> float:
    """Return seconds of a clock that also counts while the machine sleeps, where there is one."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


def _position(answer: Any) -> str:
    positions = answer.get("positions") if isinstance(answer, dict) else None
    if not isinstance(positions, list) or len(positions) != 1:
        raise RefusedError("The answer is not that of the service. Check the URL.", reason="not_the_service")
    return str(positions[0])
