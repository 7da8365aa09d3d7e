"""Streaming: the verbs for views that answer with a stream, or open a WebSocket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Unpack

from flask import Response, current_app, has_request_context, request
from gevent.event import Event as Flag

from .access import Access
from .app_state import current_state
from .channel_names import checked_channels
from .encoding import Encoding
from .encoding.message import MESSAGES
from .encoding.ndjson import NDJSON
from .encoding.sse import SSE
from .errors import NoRequestError
from .grant import Grant
from .listener import Listener
from .transports import cors, json_rows, preflight
from .transports.app_json import default_of
from .transports.client_watch import client_gone
from .transports.preflight import ViewFunction
from .transports.response import StreamOptions, check_capacity, encoding_for, prepare, respond
from .transports.websocket import Connection, OnlyThese, Subscription, closes_if_refused
from .transports.writer.writer import Writer


class Streaming(Access):
    """What a view streams. A listener is taken on only if its grant names its channels."""

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
        names, grant = self._admitted(channels, options)
        with closes_if_refused(ws):
            subscription = Subscription(hub, ws, prepare(hub, request, encoding, names, grant, options), send)
        with subscription as listener:
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
        names, grant = self._admitted(channels, options)
        if is_beside:
            options["view"] = OnlyThese(frozenset(names))
        return Subscription(hub, ws, prepare(hub, request, MESSAGES, names, grant, options))

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
        state = current_state()
        headers = cors.headers_for(request.headers.get("Origin"), state.settings.allowed_origins)
        return Writer.of_request(state.settings, state.metrics, headers, default_of(current_app))

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
        return Response(json_rows.JSONRows(name, rows, default_of(current_app)), mimetype="application/json")

    def _stream(self, encoding: Encoding, channels: str | Iterable[str], options: StreamOptions) -> Response:
        names, grant = self._admitted(channels, options)
        return respond(self.hub, request, encoding, names, grant, options)

    def _admitted(self, channels: str | Iterable[str], options: StreamOptions) -> tuple[tuple[str, ...], Grant]:
        """Return the names of the channels, and the grant that allows its holder to listen to them."""
        names = checked_channels(channels, self.hub.settings.max_channels_per_listener)
        return names, self._grant_for(names, options.get("grant"))
