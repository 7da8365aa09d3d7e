"""Everything that can go wrong, as one tree.

SimulcastError
├── SettingError              a SIMULCAST_* value that can't be used; stops the start
├── NotPatchedError           streaming was asked of a process that gevent has not patched
├── InvalidEventError         the caller handed in something that can't be published
│   ├── ChannelNameError
│   ├── EventTypeError
│   ├── EventDataError
│   ├── EventTooLargeError
│   ├── IdempotencyKeyError
│   └── IdempotencyConflictError  the key is known, with other data; certainly not stored
├── GrantError                who asks may not do this
│   ├── UnauthorizedError         nobody knows who asks
│   └── ForbiddenError            known, and not allowed
├── ListenError               this listener can't be taken on
│   ├── ChannelCountError
│   ├── ListenerLimitError        the worker is full
│   ├── TooManyListenersError     one user or address has too many
│   └── DrainingError
├── NoSuchListenerError       nobody is connected under this id
├── WriterError               a stream that a view writes itself
│   ├── NoRequestError
│   ├── NotHTTPError
│   ├── StreamingNotSupportedError
│   └── ListenerGoneError         the client left; stop producing
├── WebSocketError
│   ├── HandshakeError            a request that can't become a WebSocket
│   ├── UpgradeRequiredError      a request that does not want to, or by another version
│   └── ConnectionClosedError     the WebSocket has ended; with its code and reason
└── BrokerError
    ├── BrokerUnavailableError    certainly not stored
    └── PublishUncertainError     perhaps stored

Each class names the HTTP status and the code that a client gets for it, so that a view need not
catch anything. Messages are two sentences, what happened and what to do, and never carry event
data or secrets. Those of the broker are for the operator, with paths in them; a client is told
``public`` instead.

**Whose fault it is** is decided here and nowhere else. What a view hands to a publishing call, and
the options that it gives a stream, are the app's own: a channel, type, user, key or data that can't
be used is a 500, with a traceback in the app's log. What a client sent is the client's: a 4xx. Code
that hands on what a client sent says so::

    with client_input():
        simulcast.publish(request.json["channel"], request.json["data"])

The names of channels that somebody wants to listen to, or to read, come from a URL as a rule: there
a wrong one is the client's without more ado, and is also logged, once for each endpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class SimulcastError(Exception):
    """Base of all errors of this package."""

    status = 500
    code = "internal"
    public: str | None = None
    client_status: int | None = None  # what it is if the value came from the client


class SettingError(SimulcastError, ValueError):
    """A setting has a value that can't be used. Names the key, the value and an example."""

    code = "setting"


class NotPatchedError(SimulcastError, RuntimeError):
    """A stream was asked for in a process whose sockets gevent has not patched."""

    code = "not_patched"

    def __init__(self) -> None:
        super().__init__(
            "Streaming needs gevent's cooperative sockets, and this process is not patched. "
            "Put `from gevent import monkey; monkey.patch_all()` before all other imports, "
            "or run under `gunicorn -k gevent`."
        )


class InvalidEventError(SimulcastError, ValueError):
    """An event that can't be published as it is."""

    client_status = 400
    code = "invalid_event"


class ChannelNameError(InvalidEventError):
    """A channel name is empty, too long, reserved, or has a character that is not allowed."""

    code = "channel_name"


class EventTypeError(InvalidEventError):
    """An event type is empty, too long, or has a CR, LF or NUL."""

    code = "event_type"


class EventDataError(InvalidEventError):
    """Event data that JSON can't hold."""

    code = "event_data"


class EventTooLargeError(InvalidEventError):
    """The encoded data exceeds ``SIMULCAST_MAX_EVENT_BYTES``."""

    client_status = 413
    code = "event_too_large"


class IdempotencyKeyError(InvalidEventError):
    """An idempotency key is empty, too long, or not text."""

    code = "idempotency_key"


class IdempotencyConflictError(InvalidEventError):
    """A known idempotency key came with another type or other data. Certainly not stored."""

    status = client_status = 409  # two requests disagree, whoever made the key
    code = "idempotency_conflict"

    def __init__(self) -> None:
        super().__init__(
            "The idempotency key was used for another event within the last 300 s. Nothing was stored; "
            "send the same event again to repeat it, or use a new key for a new one."
        )


class GrantError(SimulcastError):
    """Who asks may not do this. ``code`` says why, the message what to do; neither carries a token."""

    status = 403
    code = "forbidden"

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code or self.code


class UnauthorizedError(GrantError):
    """Nobody knows who asks: no token, or one that can't be used."""

    status = 401
    code = "no_grant"


class ForbiddenError(GrantError):
    """It is known who asks, and that is not allowed."""


class ListenError(SimulcastError):
    """A listener that can't be taken on now."""

    status = 503
    code = "listen"


class ChannelCountError(ListenError, ValueError):
    """No channel, or more than ``SIMULCAST_MAX_CHANNELS_PER_LISTENER``."""

    status = 500
    client_status = 400
    code = "channel_count"


class ListenerLimitError(ListenError):
    """This worker has ``SIMULCAST_MAX_LISTENERS`` listeners already."""

    code = "listener_limit"


class TooManyListenersError(ListenError):
    """One user has ``SIMULCAST_MAX_LISTENERS_PER_USER`` in this worker, or one address ``…_PER_ADDRESS``."""

    status = 429
    code = "too_many_listeners"


class DrainingError(ListenError):
    """This worker is about to stop and takes no new listeners."""

    code = "draining"


class NoSuchListenerError(SimulcastError, LookupError):
    """Nobody is connected under this id, in any worker."""

    status = 404
    code = "no_such_listener"


class WriterError(SimulcastError):
    """A stream that a view writes itself can't begin, or can't go on."""

    code = "writer"


class NoRequestError(WriterError, RuntimeError):
    """``simulcast.writer()`` was called outside of a request."""

    code = "no_request"


class NotHTTPError(WriterError, RuntimeError):
    """The request is not plain HTTP any more: a WebSocket, say."""

    status = 400
    code = "not_http"


class StreamingNotSupportedError(WriterError, RuntimeError):
    """The server, or something between it and the app, gives no way to write piece by piece."""

    code = "streaming_not_supported"


class ListenerGoneError(WriterError, ConnectionError):
    """The client left. Stop producing; the ``with`` block of the writer ends quietly on it."""

    code = "listener_gone"


class WebSocketError(SimulcastError):
    """A WebSocket can't begin, or can't go on."""

    code = "websocket"


class HandshakeError(WebSocketError, ValueError):
    """A request that can't become a WebSocket, and why."""

    status = 400
    code = "handshake"


class UpgradeRequiredError(WebSocketError):
    """A plain request where a WebSocket is spoken, or another version of it."""

    status = 426
    code = "upgrade_required"


class ConnectionClosedError(WebSocketError, ConnectionError):
    """The WebSocket has ended. A handler may let it pass: it ends quietly on it.

    Attributes:
        close_code: Of the client, if it closed; else ours. 1005: it gave none. 1006: it went without a word.
        close_reason: The same, in words.
    """

    code = "connection_closed"

    def __init__(self, close_code: int, close_reason: str) -> None:
        super().__init__(
            f"The WebSocket has ended with the code {close_code}. Send nothing any more, and leave the handler."
        )
        self.close_code = close_code
        self.close_reason = close_reason


class BrokerError(SimulcastError):
    """The log that workers share did not do what was asked."""

    status = 503
    code = "broker"


class BrokerUnavailableError(BrokerError):
    """Certainly not stored. Safe to try again."""

    code = "broker_unavailable"
    public = "The log is not available now. Nothing was stored; try again."


class PublishUncertainError(BrokerError):
    """Perhaps stored. Try again only with an idempotency key."""

    code = "publish_uncertain"
    public = "The log did not answer. The event might be stored; try again with an idempotency key."


@contextmanager
def client_input() -> Iterator[None]:
    """Say that what is handed on in this block came from the client: a value that can't be used is a 4xx, not a 500."""
    try:
        yield
    except SimulcastError as error:
        if error.client_status is not None:
            error.status = error.client_status
        raise
