"""Simulcast: the Flask extension. What application code calls."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Unpack
from weakref import WeakSet

from flask import Flask, Response, current_app, has_request_context, jsonify, request
from gevent.event import Event as Flag
from werkzeug.routing.exceptions import WebsocketMismatch

from .access import Access
from .brokers import check_alone, check_url, connect, located
from .encoding import Encoding
from .encoding.message import MESSAGES
from .encoding.ndjson import NDJSON
from .encoding.sse import SSE
from .errors import (
    ChannelCountError,
    ChannelNameError,
    GrantError,
    NoRequestError,
    NoSuchListenerError,
    SettingError,
    SimulcastError,
    client_input,
)
from .event import Default, Draft, IdempotencyKey, check_channel, check_key, check_publishable, check_type
from .grant import Grant
from .hub.history import History
from .hub.hub import Hub
from .listener import Listener
from .metrics import Metrics
from .on_commit import publish_on_commit
from .presence import Member, Place
from .publisher import Publishing, checked_drafts
from .settings import Settings, misspelt
from .transports import cors, json_rows, preflight
from .transports.app_json import default_of
from .transports.client_watch import client_gone
from .transports.preflight import ViewFunction
from .transports.refusal import refuse
from .transports.response import StreamOptions, check_capacity, encoding_for, prepare, respond
from .transports.sse import is_event_source, turned_away
from .transports.websocket import Connection, Connections, OnlyThese, Subscription, feed, mismatch
from .transports.writer.writer import Writer, keep_start_response

_KEY = "simulcast"
_TRY_AGAIN = (429, 503)
_said: set[str | None] = set()  # endpoints, so bounded
_log = logging.getLogger("flask_simulcast")
# What a server is given may be a middleware around an app, or around several: it shows no `extensions`.
_states: WeakSet[_State] = WeakSet()


class _State:
    """What one app has: checked settings, counters, and a hub for each process."""

    def __init__(self, settings: Settings, create: bool) -> None:
        self.settings = settings
        self._create = create
        self.metrics = Metrics()
        self.connections = Connections(settings, self.metrics)
        self._hub: Hub | None = None
        _states.add(self)

    def hub(self, app: Flask) -> Hub:
        """Made at first use in a process, again after a fork: sockets and database files must not cross one. May switch then.

        Raises:
            SettingError: The log is in memory, and this is not the only worker.
        """
        hub = self._hub
        if hub is None or hub.pid != os.getpid():
            _check_multiprocess(self.settings)
            check_alone(self.settings)
            hub = self._hub  # another request may have made it meanwhile
        if hub is None or hub.pid != os.getpid():
            hub = self._hub = Hub(connect(self.settings, create=self._create), self.settings, self.metrics, app)
        return hub

    def close(self) -> None:
        hub, self._hub = self._hub, None
        if hub is not None and hub.pid == os.getpid():
            hub.close()


class Simulcast(Publishing, Access):
    """Publish once; every listener gets it.

    ::

        simulcast = Simulcast(app)

        @app.get("/orders/stream")
        def orders():
            return simulcast.sse("orders")

        simulcast.publish("orders", {"id": 7}, type="created")

    One object serves any number of apps; what belongs to an app is in ``app.extensions["simulcast"]``.

    Args:
        app: Set up at once, where there is one already; else call `init_app` later.
        answers_preflights: Whether a preflight for a stream of this app is answered to pages of ``SIMULCAST_ALLOWED_ORIGINS``.
            One that the app answers itself, with Flask-CORS for example, is left alone in any case.
        reserved: Prefixes of channels that the app uses itself, for commands say: a star alone in a grant does not reach
            them, only a pattern that begins with the prefix as written. See `Grant`.
    """

    def __init__(
        self, app: Flask | None = None, *, answers_preflights: bool = True, reserved: Iterable[str] = ()
    ) -> None:
        self._answers_preflights = answers_preflights
        self.reserved = tuple(reserved)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, *, own_settings: Collection[str] = (), create: bool = True) -> None:
        """Read and check the SIMULCAST_* settings. Later changes of ``app.config`` have no effect.

        Opens nothing: the log is opened at first use in each process. A key that is no setting but looks like one is named
        in a warning, with the one that is probably meant.

        Args:
            own_settings: SIMULCAST_* keys of ``app.config`` that are the app's own; nothing is said of them.
            create: Whether that makes an SQLite log that is not there. If not, it raises BrokerUnavailableError: for a
                program that must reach the listeners of a server, or fail.

        Raises:
            SettingError: A setting can't be used.
            RuntimeError: This app has been set up already.
        """
        if _KEY in app.extensions:
            raise RuntimeError("This app has a Simulcast already. Call init_app once for each app.")
        for key, nearest in misspelt(app.config, own_settings).items():
            _log.warning("%s is not a setting, so it has no effect. Did you mean %s?", key, nearest)
        settings = located(Settings.from_config(app.config), app.instance_path)
        check_url(settings)
        app.extensions[_KEY] = _State(settings, create)
        app.register_error_handler(SimulcastError, self._as_response)
        app.register_error_handler(WebsocketMismatch, lambda error: self._as_response(mismatch(error)))
        if self._answers_preflights and settings.allowed_origins:
            last = partial(preflight.answered, allowed=settings.allowed_origins)
            app.after_request_funcs.setdefault(None, []).insert(0, last)  # these run backwards
        app.wsgi_app = keep_start_response(app.wsgi_app)  # type: ignore[assignment,method-assign]

    # Publishing: the verbs are in `Publishing`

    @property
    def _default(self) -> Default:
        return default_of(current_app)

    def publish_on_commit(
        self,
        channel: str,
        data: object,
        *,
        type: str = "message",
        idempotency_key: str | IdempotencyKey | None = None,
        session: Any = None,
    ) -> None:
        """Publish when the current database transaction commits, right after it; never if it is rolled back.

        If the log does not take it after the commit, that is logged and counted: the commit has been made. Needs SQLAlchemy.

        Args:
            channel, type, idempotency_key: As `publish`.
            data: As `publish`; or a function that returns it, called after the last flush, before the commit: by then a new row
                has its key and its defaults. Where it raises, nothing is committed.
            session: A SQLAlchemy session; Flask-SQLAlchemy's of the current app when left out.

        Raises:
            InvalidEventError: As `publish`.
        """
        hub, default, name = self.hub, self._default, check_publishable(channel)
        check_type(type)
        if idempotency_key is not None:
            check_key(idempotency_key.key if isinstance(idempotency_key, IdempotencyKey) else idempotency_key)

        def make_drafts() -> list[Draft]:
            found = data() if callable(data) else data
            return checked_drafts((name,), found, type, idempotency_key, hub.settings, default)

        own = _session() if session is None else session
        publish_on_commit(own, make_drafts, hub.publish, is_late=callable(data))

    def check(self, channel: str, data: object, *, type: str = "message") -> None:
        """Whether `publish` would take this, for one who must do something else first. Stores nothing.

        Raises:
            InvalidEventError: As `publish`.
        """
        checked_drafts((check_publishable(channel),), data, type, None, self.settings, self._default)

    # Who is there

    def listeners(self, *, after: str = "", limit: int = 100, channel: str = "", user: str = "") -> list[Place]:
        """Listeners of all workers, in the order of their ids.

        Args:
            after: The id of the last one that is known already.
            limit: How many at most.
            channel, user: Only those of this channel or user.
        """
        return self.hub.broker.places(after, limit, channel=channel, user=user)

    def members(self, channel: str, *, after: str = "", limit: int = 100) -> list[Member]:
        """Who is present on a channel, over all workers, in the order of their names.

        Args:
            after: The name of the last one that is known already.
            limit: How many at most.
        """
        (name,) = _listened((channel,))
        return self.hub.broker.members(name, after, limit)

    def kick(self, listener: str, *, reconnect: bool = True) -> None:
        """Close one connection, in whichever worker it is. May switch.

        Args:
            reconnect: Whether it may come back; if not, its token is revoked.

        Raises:
            NoSuchListenerError: Nobody is connected under this id.
        """
        hub = self.hub
        place = hub.find_place(listener)
        if place is None:
            raise NoSuchListenerError(f"Nobody is connected as {listener[:64]!a}. Perhaps it has left already.")
        if not reconnect and place.token_id:
            hub.control.revoke_token(place.token_id, hub.settings.max_grant_seconds)
        hub.control.kick(place.listener, reconnect=reconnect)
        hub.read_on()

    # What was

    def history(self, channels: str | Iterable[str], *, after: str | None = None, limit: int = 100) -> History:
        """What some channels have kept.

        Args:
            channels: One name or several.
            after: The position after which it begins; None for the newest events.
            limit: How many at most; fewer where they are more than 1 MiB.

        Raises:
            ChannelNameError, ChannelCountError: The channels can't be read.
            BrokerUnavailableError: The log can't be read.
        """
        _, state = self._here()
        return self.hub.history(_channel_names(channels, state.settings), after, limit)

    # Streams, for views to return

    def sse(self, channels: str | Iterable[str], **options: Unpack[StreamOptions]) -> Response:
        """A response that streams these channels as server-sent events.

        A client that comes back with ``Last-Event-ID`` (or ``?last_event_id=``) gets what it missed, or a
        ``gap`` event that says plainly that it can't.

        Args:
            channels: One name or several.
            options:
                - ``view``: A pure, hashable function that drops (None) or narrows an event. Listeners with an equal view
                  share their bytes, so make it once, not in each request.
                - ``snapshot``: Called now, in the request, for data that the stream then goes on from: the position is
                  taken first, so that nothing falls between. Not called for a client that can resume.
                - ``snapshot_type``: Event type of the snapshot; ``snapshot`` when left out.
                - ``replay``: How many of the newest events a new listener gets first. When left out, what
                  ``SIMULCAST_REPLAY_EVENTS`` and ``SIMULCAST_HISTORY_CHANNELS`` say; not with a snapshot.
                - ``grant``: Who listens, as this view has found out; it decides itself whether they may. When left out,
                  the authorizer is asked, if there is one, and must grant the channels.
                - ``member``: As whom the listener is present; the grant's user when left out.
                - ``meta``: What others are told of it, as JSON; the grant's when left out.
                - ``present``: Whether it is present at all, or on which of its channels; when left out, on
                  ``SIMULCAST_PRESENCE_CHANNELS``.
                - ``heartbeat_as_comment``: For clients that know no ``heartbeat`` event.
                - ``resume``: The position that the client says it has, or None; what stands in the request when left out.

        Raises:
            ChannelNameError, ChannelCountError: The channels can't be listened to.
            UnauthorizedError, ForbiddenError: Not by whoever asks.
            ListenError, BrokerUnavailableError: No room, or the log can't be read (EventSource is answered politely instead,
                or it would never come back).
            NotPatchedError: This process can't stream.
        """
        return self._stream(SSE, channels, options)

    def ndjson(self, channels: str | Iterable[str], **options: Unpack[StreamOptions]) -> Response:
        """The same as one JSON object a line, ``{"id", "channel", "type", "time", "data"}``."""
        return self._stream(NDJSON, channels, options)

    def stream(self, channels: str | Iterable[str], **options: Unpack[StreamOptions]) -> Response:
        """`ndjson` for a client that asks for ``application/x-ndjson``, `sse` for all others."""
        return self._stream(encoding_for(request), channels, options)

    @contextmanager
    def websocket(
        self,
        ws: Connection,
        channels: str | Iterable[str],
        *,
        encoding: Encoding,
        send: Callable[[bytes], object] | None = None,
        **options: Unpack[StreamOptions],
    ) -> Iterator[Listener]:
        """Send these channels to a WebSocket while its handler does something else: read, as a rule. Switches::

            with simulcast.websocket(ws, "orders", encoding=ORDERS):
                while True:
                    answer(ws.receive())

        One greenlet takes what the hub has for the listener and sends it; it ends with the block, or before: with a drain, a
        kick, a grant that has ended, the WebSocket is closed with the code of that. Resume is as for `sse`, by
        ``?last_event_id=``.

        Args:
            encoding: Makes WebSocket frames, by `text_frame`; or whatever ``send`` understands.
            send: Called with each chunk, some frames in a row. ``ws.send_frame`` when left out.
            options: As `sse`.

        Raises:
            ConnectionClosedError: There was no room for it, or the log can't be read.
            UnauthorizedError, ForbiddenError, TooManyListenersError: Not for whoever asks. Better asked before the
                handshake: `require_subscribe`, `check_capacity`.
        """
        hub = self.hub
        names = _channel_names(channels, hub.settings)
        grant = self._grant_for(names, options.get("grant"))
        with feed(hub, ws, lambda: prepare(hub, request, encoding, names, grant, options), send) as listener:
            yield listener

    def subscribe(
        self,
        ws: Connection,
        channels: str | Iterable[str],
        *,
        is_beside: bool = False,
        **options: Unpack[StreamOptions],
    ) -> Subscription:
        """One of several listeners of a WebSocket, in JSON messages: what `encoding.message` makes. Call ``start`` to have its
        events sent, and ``stop`` on every path. Switches.

        Args:
            is_beside: Another listener of this connection gets what goes to everyone, and to its user.
            options: As `sse`, but for ``view`` where it is beside another.

        Raises:
            UnauthorizedError, ForbiddenError, ListenError, BrokerUnavailableError: As `sse`.
        """
        hub = self.hub
        names = _channel_names(channels, hub.settings)
        grant = self._grant_for(names, options.get("grant"))
        if is_beside:
            options["view"] = OnlyThese(frozenset(names))
        return Subscription(hub, ws, *prepare(hub, request, MESSAGES, names, grant, options))

    def check_capacity(self, grant: Grant) -> None:
        """Whether this worker can take one more listener, for a WebSocket that is about to be opened.

        Raises:
            ListenError: It can't.
            BrokerUnavailableError: The log could not be read a moment ago.
        """
        check_capacity(self.hub, request, grant)

    @staticmethod
    def cross_origin(view: ViewFunction) -> ViewFunction:
        """Let pages of ``SIMULCAST_ALLOWED_ORIGINS`` send this view what needs a preflight: a POST with JSON, for a stream that it
        writes. A view that answers GET needs no decorator. Put it below the route::

            @app.post("/ask")
            @simulcast.cross_origin
            def ask():
        """
        return preflight.marked(view)

    def writer(self) -> Writer:
        """A stream that this view writes itself: see `Writer`.

        Raises:
            NoRequestError, NotHTTPError, StreamingNotSupportedError: There is nothing to write to.
        """
        if not has_request_context():
            raise NoRequestError("There is no request to answer. Call simulcast.writer() in a view.")
        _, state = self._here()
        headers = cors.headers_for(request.headers.get("Origin"), state.settings.allowed_origins)
        return Writer.of_request(state.settings, state.metrics, headers, self._default)

    @contextmanager
    def client_gone(self) -> Iterator[Flag]:
        """For a view that waits for something before it answers: a flag that is set when its client leaves. ::

            with simulcast.client_gone() as gone:
                while not is_done() and not gone.wait(0.1):  # switches; True as soon as the client has left
                    ...

        The request's body must have been read. Where the server shows no socket that can be looked at (TLS in gunicorn itself,
        a test client), the flag is never set: give the wait an end of its own.
        """
        with client_gone(request.environ) as gone:
            yield gone

    def json_rows(self, name: str, rows: Iterable[object]) -> Response:
        """A response that writes ``{"<name>":[…]}`` row by row. A row that fails cuts the body off.

        Args:
            name: Of the list.
            rows: Taken while the response is sent, without a request context.
        """
        return Response(json_rows.JSONRows(name, rows, self._default), mimetype="application/json")

    # Periodic jobs

    def hold_lease(self, name: str, seconds: float) -> bool:
        """Take or renew a lease that one worker of the fleet has at a time: who holds it runs the job. May switch.

        Args:
            seconds: It ends by itself after so long, at most 60, so that a killed worker's job goes to another.

        Raises:
            BrokerUnavailableError: Nobody can say who holds it.
        """
        hub = self.hub
        return hub.broker.hold_lease(name, hub.id, seconds)

    def release_lease(self, name: str) -> None:
        """Give it back before its time. May switch."""
        hub = self.hub
        hub.broker.release_lease(name, hub.id)

    # What an app may want to look at

    @property
    def hub(self) -> Hub:
        """The current app's hub in this process, made now if need be."""
        app, state = self._here()
        return state.hub(app)

    @property
    def settings(self) -> Settings:
        """The current app's settings."""
        return self._here()[1].settings

    @property
    def metrics(self) -> Metrics:
        """The current app's counters in this process."""
        return self._here()[1].metrics

    @property
    def connections(self) -> Connections:
        """The current app's WebSockets in this process."""
        return self._here()[1].connections

    def close(self, app: Flask) -> None:
        """Close the app's log in this process and stop its greenlets; the next use opens it again. Switches."""
        app.extensions[_KEY].close()

    # Inside

    @staticmethod
    def _here() -> tuple[Flask, _State]:
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        try:
            return app, app.extensions[_KEY]
        except KeyError:
            raise RuntimeError(
                "This app has no Simulcast. Call Simulcast(app) or simulcast.init_app(app) first."
            ) from None

    def _as_response(self, error: SimulcastError) -> Response:
        return _as_response(error, self.challenge)

    def _stream(self, encoding: Encoding, channels: str | Iterable[str], options: StreamOptions) -> Response:
        hub = self.hub
        names = _channel_names(channels, hub.settings)
        return respond(hub, request, encoding, names, self._grant_for(names, options.get("grant")), options)


def _check_multiprocess(settings: Settings) -> None:
    """What the server says of itself (PEP 3333), however the app is wrapped."""
    if settings.has_memory_log and has_request_context() and request.environ.get("wsgi.multiprocess"):
        raise SettingError(
            "SIMULCAST_BROKER_URL=memory:// with several workers: each would have a log of its own, and a listener would miss "
            "what the others publish. Use SIMULCAST_BROKER_URL=sqlite:///instance/simulcast.db, or one worker."
        )


def settings_of_this_process() -> list[Settings]:
    """Those of every app that there is, for the server's hooks."""
    return [state.settings for state in _states]


def _channel_names(channels: str | Iterable[str], settings: Settings) -> tuple[str, ...]:
    given = [channels] if isinstance(channels, str) else list(channels)
    limit = settings.max_channels_per_listener
    with client_input():
        if not 1 <= len(given) <= limit:
            raise ChannelCountError(f"{len(given)} channels were named. Name 1 to {limit}.")
    return tuple(sorted(set(_listened(given))))


def _session() -> Any:
    """Flask-SQLAlchemy's, of the current app."""
    if "sqlalchemy" not in current_app.extensions:
        raise RuntimeError(
            "This app has no Flask-SQLAlchemy, so there is no session to wait for. Give publish_on_commit yours: session=…"
        )
    return current_app.extensions["sqlalchemy"].session


def _listened(names: Iterable[str]) -> list[str]:
    """Channels that somebody wants to listen to, or to read. A wrong one is the client's, as a rule; where it stands in the
    view, its author finds it in the log, which has one line for each endpoint."""
    try:
        with client_input():
            return [check_channel(name) for name in names]
    except ChannelNameError as error:
        endpoint = request.endpoint if has_request_context() else None
        if endpoint not in _said:
            _said.add(endpoint)
            _log.warning("%s was asked for a channel that can't be one. %s", endpoint or "A call", error)
        raise


def _as_response(error: SimulcastError, challenge: str) -> Response:
    """What a client is told: the code, and what to do. Errors of the set-up stay errors. An EventSource that may come back is
    told so with status 200, and so is why it is refused: any other status would end it for ever without a word."""
    if error.status == 500:
        raise error
    if error.public is not None:
        _log.warning("%s", error)
    state: _State = current_app.extensions[_KEY]
    readable = cors.headers_for(request.headers.get("Origin"), state.settings.allowed_origins)
    told = None
    if error.status in _TRY_AGAIN and is_event_source(request):
        told = turned_away(state.settings.retry_ms, error.code)
    elif isinstance(error, GrantError):
        told = refuse(request, error, state.settings, state.metrics)
    if told is not None:
        told.headers.update(readable)
        return told
    response = jsonify(error={"code": error.code, "message": error.public or str(error)})
    response.headers.update(readable)
    response.status_code = error.status
    if error.status in _TRY_AGAIN:
        response.headers["Retry-After"] = "1"
    elif error.status == 401 and challenge:
        response.headers["WWW-Authenticate"] = challenge
    elif error.status == 426:
        response.headers.update({"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"})
    return response
