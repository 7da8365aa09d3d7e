"""All errors of this package, as one tree.

SimulcastError
├── SettingError              a SIMULCAST_* value that can't be used; stops the start
├── SingleThreadedServerError  the server has neither gevent nor threads, so one stream would stop it
├── InvalidEventError         the caller passed an event that can't be published
│   ├── ChannelNameError
│   ├── EventTypeError
│   ├── EventDataError
│   ├── EventTooLargeError
│   ├── IdempotencyKeyError
│   └── IdempotencyConflictError  the key is known, with other data; certainly not stored
├── GrantError                the client must not do this
│   ├── UnauthorizedError         the client has not shown a valid token or ticket
│   └── ForbiddenError            the client's grant does not allow this
├── ListenError               this listener can't be added
│   ├── ChannelCountError
│   ├── ListenerLimitError        the worker is full
│   ├── TooManyListenersError     one user or address has too many
│   ├── AlreadySubscribedError    the connection has the channel already
│   ├── NotSubscribedError        the connection has no subscription to the channel
│   └── DrainingError
├── NoSuchListenerError       no listener with this id is connected
├── RunError
│   ├── RunIdError                the id of a run has a character that is not allowed
│   ├── RunExistsError            another run has this id
│   ├── NoSuchRunError            no run has this id, or it is another user's
│   ├── TooManyRunsError          the worker or the user has too many
│   ├── RunEndedError             for the producer: its run has ended, so it must stop
│   └── RunFailedError            raised by the producer, with a text for the people who watch
├── WriterError               a stream that a view writes itself can't begin or go on
│   ├── NoRequestError
│   ├── NotHTTPError
│   ├── StreamingNotSupportedError
│   └── ListenerGoneError         the client left; stop producing
├── WebSocketError
│   ├── HandshakeError            a request that can't become a WebSocket
│   ├── UpgradeRequiredError      a plain request to a WebSocket, or one for another version
│   └── ConnectionClosedError     the WebSocket has ended; with its code and reason
└── BrokerError
    ├── BrokerUnavailableError    certainly not stored
    └── PublishUncertainError     perhaps stored

Each class has the HTTP status and the code that a client gets for it, so views don't have to catch
anything. Messages have two sentences, what happened and what to do, and never contain event data or
secrets. Messages of the broker are for the operator and contain paths; a client gets ``public`` instead.

**Whose fault an error is** is decided here and nowhere else. The arguments of a publishing call, and
the options of a stream, come from the app: a channel, type, user, key or data that can't be used is a
500, with a traceback in the app's log. Values that a client sent are the client's fault: a 4xx. Code
that passes on a client's values marks them::

    with client_input():
        simulcast.publish(request.json["channel"], request.json["data"])

Names of channels to listen to, or to read, usually come from a URL. So a wrong name there is always
the client's fault, and is also logged, once for each endpoint.
"""

from __future__ import annotations


class SimulcastError(Exception):
    """Base of all errors of this package."""

    status = 500
    code = "internal"
    public: str | None = None
    client_status: int | None = None  # the status if the value came from the client


class SettingError(SimulcastError, ValueError):
    """A setting has a value that can't be used. The message has the key, the value and an example."""

    code = "setting"


class SingleThreadedServerError(SimulcastError, RuntimeError):
    """A stream was requested on a server that answers one request at a time."""

    code = "single_threaded"

    def __init__(self) -> None:
        super().__init__(
            "This server answers one request at a time, so one stream would stop it. "
            "Use `flask run` without --without-threads, `gunicorn -k gevent`, or `gunicorn -k gthread --threads 100`."
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

    status = client_status = 409  # two requests disagree, whatever made the key
    code = "idempotency_conflict"

    def __init__(self) -> None:
        super().__init__(
            "The idempotency key was used for another event within the last 300 s. Nothing was stored; "
            "send the same event again to repeat it, or use a new key for a new one."
        )


class GrantError(SimulcastError):
    """The client must not do this. ``code`` says why, the message what to do; neither contains a token."""

    status = 403
    code = "forbidden"

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code or self.code


class UnauthorizedError(GrantError):
    """The client has no valid token: it sent none, or one that can't be used."""

    status = 401
    code = "no_grant"


class ForbiddenError(GrantError):
    """The client's grant does not allow this."""


class ListenError(SimulcastError):
    """A listener can't be added now."""

    status = 503
    code = "listen"


class ChannelCountError(ListenError, ValueError):
    """A listener named no channel, or more than ``SIMULCAST_MAX_CHANNELS_PER_LISTENER``."""

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


class AlreadySubscribedError(ListenError):
    """A client asks for a channel that its connection has already."""

    status = 400
    code = "already_subscribed"

    def __init__(self, channel: str) -> None:
        super().__init__(f"This connection gets {channel[:128]!a} already. Unsubscribe it first.")


class NotSubscribedError(ListenError):
    """A client leaves a channel to which its connection has no subscription."""

    status = 400
    code = "not_subscribed"

    def __init__(self, channel: str) -> None:
        super().__init__(f"There is no subscription to {channel[:128]!a}. What a connection begins with stays.")


class NoSuchListenerError(SimulcastError, LookupError):
    """No listener with this id is connected, in any worker."""

    status = 404
    code = "no_such_listener"


class RunError(SimulcastError):
    """Something about a run."""

    code = "run"


class RunIdError(RunError, ValueError):
    """The id of a run has a character that is not allowed, or it is too long."""

    client_status = 400
    code = "run_id"


class RunExistsError(RunError):
    """Another run has this id."""

    status = 409
    code = "run_exists"

    def __init__(self, id: str) -> None:
        super().__init__(f"A run has the id {id!a} already. Choose another, or use an idempotency key to join it.")


class NoSuchRunError(RunError, LookupError):
    """No run has this id, it ended longer ago than its history is kept, or it is another user's."""

    status = 404
    code = "no_such_run"

    def __init__(self, id: str) -> None:
        super().__init__(f"No run is known as {str(id)[:64]!a}. Perhaps it ended long ago; start it again.")


class TooManyRunsError(RunError):
    """``SIMULCAST_MAX_RUNS`` run in this worker, or ``SIMULCAST_MAX_RUNS_PER_USER`` of one user."""

    status = 429
    code = "too_many_runs"


class RunEndedError(RunError):
    """The run has ended: it was cancelled, its time is over, or the worker stops. For the producer, which must stop."""

    status = 409
    code = "run_ended"

    def __init__(self, why: str = "") -> None:
        super().__init__(f"The run has ended ({why or 'ended'}), and takes nothing further. Stop producing.")


class RunFailedError(RunError):
    """Raised by a producer: ends its run as ``failed``, with this text for the people who watch. Any other exception ends it
    with a general text, because its own might hold a secret.

    Args:
        message: What happened, and what to do, for people.
        code: A name for programs.
    """

    def __init__(self, message: str, code: str = "failed") -> None:
        super().__init__(message)
        self.code = code


class WriterError(SimulcastError):
    """A stream that a view writes itself can't begin, or can't go on."""

    code = "writer"


class NoRequestError(WriterError, RuntimeError):
    """``simulcast.writer()`` was called outside of a request."""

    code = "no_request"


class NotHTTPError(WriterError, RuntimeError):
    """The request is not plain HTTP: the client asks for a WebSocket, for example."""

    status = 400
    code = "not_http"


class StreamingNotSupportedError(WriterError, RuntimeError):
    """The server, or a middleware between it and the app, offers no ``write()`` for a stream."""

    code = "streaming_not_supported"


class ListenerGoneError(WriterError, ConnectionError):
    """The client left. Stop producing; the ``with`` block of the writer ends quietly on this error."""

    code = "listener_gone"


class WebSocketError(SimulcastError):
    """A WebSocket can't begin, or can't go on."""

    code = "websocket"


class HandshakeError(WebSocketError, ValueError):
    """A request can't become a WebSocket. The message says why."""

    status = 400
    code = "handshake"


class UpgradeRequiredError(WebSocketError):
    """A plain request came to a WebSocket, or a request for another version of the protocol."""

    status = 426
    code = "upgrade_required"


class ConnectionClosedError(WebSocketError, ConnectionError):
    """The WebSocket has ended. A handler doesn't have to catch this: the connection ends quietly on it.

    Attributes:
        close_code: The client's close code if the client closed, else the server's. 1005: the client gave no code. 1006: the
            connection broke without a close frame.
        close_reason: The close reason, as text.
    """

    code = "connection_closed"

    def __init__(self, close_code: int, close_reason: str) -> None:
        super().__init__(
            f"The WebSocket has ended with the code {close_code}. Stop sending, and return from the handler."
        )
        self.close_code = close_code
        self.close_reason = close_reason


class BrokerError(SimulcastError):
    """The log that workers share failed."""

    status = 503
    code = "broker"


class BrokerUnavailableError(BrokerError):
    """The log can't be used now. Nothing was stored, so it is safe to try again."""

    code = "broker_unavailable"
    public = "The log is not available now. Nothing was stored; try again."


class PublishUncertainError(BrokerError):
    """The log did not answer, so the event might be stored. Try again only with an idempotency key."""

    code = "publish_uncertain"
    public = "The log did not answer. The event might be stored; try again with an idempotency key."


class _ClientInput:
    """The context of `client_input`. It has no state, so one serves all."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, SimulcastError) and error.client_status is not None:
            error.status = error.client_status


_CLIENT_INPUT = _ClientInput()


def client_input() -> _ClientInput:
    """Mark the values passed on in this block as the client's: one that can't be used is a 4xx, not a 500."""
    return _CLIENT_INPUT
