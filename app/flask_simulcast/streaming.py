"""Streaming: the methods for views that answer with a stream, or open a WebSocket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Unpack

from flask import Request, Response, current_app, g, has_request_context, request

from . import cors
from .access import Access
from .app_state import current_state
from .channel_names import checked_channels
from .encoding import Encoding
from .encoding.message import MESSAGES
from .encoding.ndjson import NDJSON
from .encoding.sse import SSE
from .errors import NoRequestError
from .grant import Grant
from .hot import Reply
from .hub.gateway import made_in_loop
from .transports import json_rows, preflight, sse
from .transports.address import limited_address
from .transports.app_json import default_of
from .transports.client_watch import Flag, client_gone
from .transports.mirror import is_for_doctor, reflect
from .transports.preflight import ViewFunction
from .transports.response import StreamOptions, check_capacity, encoding_for, prepare, respond, resume_of
from .transports.stream import Stream
from .transports.subscription import Duplex, OnlyThese, Subscription
from .transports.websocket import Connection, closes_if_refused
from .transports.writer.writer import Writer


class Streaming(Access):
    """The methods for streams. A listener is accepted only if its grant names its channels."""

    def sse(self, channels: str | Iterable[str], **options: Unpack[StreamOptions]) -> Response:
        """Return a response that streams these channels as server-sent events.

        A client that reconnects with ``Last-Event-ID`` (or ``?last_event_id=``) gets the events that it missed, or
        a ``gap`` event if that is impossible.

        Args:
            channels: One name or several.
            options:
                - ``encoding``: Another way to write the events, for clients with a protocol of their own. Make it once, as
                  ``dataclasses.replace(SSE, event=…)``.
                - ``view``: A pure, hashable function that drops (None) or narrows an event. Listeners with an equal view
                  share their bytes, so make it once, not in each request.
                - ``snapshot``: A function that returns the data with which the stream starts. It is called now, in the
                  request, after the stream's position is taken, so no event is lost in between. Not called for a client that
                  can resume. A generator makes an event of each value that it yields; keep them few, because they are sent as
                  one chunk.
                - ``snapshot_type``: Event type of the snapshot. Defaults to ``snapshot``.
                - ``start``: Position after which the stream goes on behind the snapshot: ``simulcast.hub.position`` of a moment
                  ago, for a snapshot that leaves out what the stream will have. Defaults to the position of now.
                - ``replay``: Number of the newest events that a new listener gets first. Defaults to
                  ``SIMULCAST_REPLAY_EVENTS`` and ``SIMULCAST_HISTORY_CHANNELS``. Has no effect with a snapshot.
                - ``grant``: The listener's grant, for a view that decides itself whether the client may listen. By default
                  the authorizer, if there is one, must grant the channels.
                - ``member``: Name under which the listener is present: up to 256 characters without NUL. Defaults to the grant's
                  user.
                - ``meta``: JSON data that others see of it. Defaults to the grant's.
                - ``present``: Whether it is present on its channels, or the channels on which it is. Defaults to
                  ``SIMULCAST_PRESENCE_CHANNELS``.
                - ``heartbeat_as_comment``: Whether to send heartbeats as comments, for clients that know no ``heartbeat``
                  event.
                - ``resume``: Position that the client says it has, or None. Defaults to the position in the request.
                - ``deadline``: Monotonic seconds at which the stream closes with ``deadline``, give or take half a second.

        Raises:
            ChannelNameError, ChannelCountError: A name of a channel or of the member is invalid, or the number of channels is.
            UnauthorizedError, ForbiddenError: The client must not listen to them.
            ListenError, BrokerUnavailableError: There is no room, or the log can't be read. (An EventSource gets an answer
                with status 200 instead; at any other status it would not reconnect.)
            SingleThreadedServerError: This server has neither gevent nor threads.
        """
        return self._stream(SSE, channels, options)

    def ndjson(self, channels: str | Iterable[str], **options: Unpack[StreamOptions]) -> Response:
        """Return the same stream as one JSON object a line, ``{"id", "channel", "type", "time", "data"}``."""
        return self._stream(NDJSON, channels, options)

    def stream(self, channels: str | Iterable[str], **options: Unpack[StreamOptions]) -> Response:
        """Return `ndjson` for a client that asks for ``application/x-ndjson``, `sse` for all others."""
        return self._stream(encoding_for(request), channels, options)

    def hot_stream(
        self, request: Request, channels: str | Iterable[str], **options: Unpack[StreamOptions]
    ) -> Reply | None:
        """Return `stream` as the answer of a hot route; None if Flask must answer: a refusal, a stream that has ended. The
        context has a grant already. May switch."""
        hub = self.hub
        names, grant = self._admitted(channels, options)
        address = limited_address(request, hub.settings)
        if (
            is_for_doctor(request)
            or sse.is_over(resume_of(request, options))
            or not hub.admission.has_room(grant.user, address)
        ):
            return None
        encoding = options.get("encoding") or encoding_for(request)
        body = Stream(hub, prepare(hub, request, encoding, names, grant, options), request.environ)
        headers = {
            **sse.HEADERS,
            "Content-Type": encoding.content_type,
            **cors.headers_for(request.environ.get("HTTP_ORIGIN"), hub.settings.allowed_origins),
        }
        return Reply("200 OK", tuple(headers.items()), body)

    def websocket(
        self,
        ws: Connection,
        channels: str | Iterable[str],
        *,
        send: Callable[[bytes], object] | None = None,
        **options: Unpack[StreamOptions],
    ) -> Subscription:
        """Send these channels to a WebSocket while its handler does something else, usually reading. Switches::

            with simulcast.websocket(ws, "orders"):
                while True:
                    answer(ws.receive())

        A handler that returns calls ``start`` instead, and the listener stays as long as the connection::

            simulcast.websocket(ws, "orders").start()
            ws.on_message = answer

        After a drain, a kick, or the end of the grant, the WebSocket is closed with the matching close code. A client resumes
        as with `sse`, by ``?last_event_id=``.

        Args:
            send: Called with each chunk, which has one or more frames, outside the request. It may switch. Defaults to
                ``ws.send_frame``, which costs less.
            options: As in `sse`. An ``encoding`` makes WebSocket frames with `text_frame`, or frames that ``send`` understands.
                It defaults to JSON messages, ``{"type":"event","channel","event","id","time","data"}``.

        Raises:
            ConnectionClosedError: There was no room for the listener, or the log can't be read.
            UnauthorizedError, ForbiddenError, TooManyListenersError: The client must not listen. Check that before the
                handshake, with `require_subscribe` and `check_capacity`.
        """
        hub = self.hub
        names, grant = self._admitted(channels, options)
        with closes_if_refused(ws):
            encoding = options.get("encoding", MESSAGES)
            asked = prepare(hub, request, encoding, names, self._spent(grant), options)
            return made_in_loop(lambda: Subscription(hub, ws, asked, send))

    def subscribe(
        self,
        ws: Duplex,
        channels: str | Iterable[str],
        *,
        send: Callable[[bytes], object] | None = None,
        is_beside: bool = False,
        **options: Unpack[StreamOptions],
    ) -> Subscription:
        """Return one of several listeners of a WebSocket, or of a call of RPC that streams in both directions. Call
        ``start`` to send its events, and ``stop`` on every path. Switches.

        Args:
            send: As in `websocket`.
            is_beside: Whether another listener of this connection already gets the events for everyone and for its user. When
                the run of this one has ended, the connection stays open.
            options: As in `sse`. With ``is_beside`` a ``view`` is replaced. An ``encoding`` defaults to JSON messages, as
                `encoding.message` makes them.

        Raises:
            UnauthorizedError, ForbiddenError, ListenError, BrokerUnavailableError: As in `sse`.
        """
        hub = self.hub
        names, grant = self._admitted(channels, options)
        if is_beside:
            options["view"] = OnlyThese(frozenset(names))
        encoding = options.get("encoding", MESSAGES)
        asked = prepare(hub, request, encoding, names, self._spent(grant), options)
        return made_in_loop(lambda: Subscription(hub, ws, asked, send, is_beside=is_beside))

    def check_capacity(self, grant: Grant) -> None:
        """Check that this worker has room for one more listener, before a WebSocket is opened.

        Raises:
            ListenError: There is no room.
            BrokerUnavailableError: The log could not be read a moment ago.
        """
        check_capacity(self.hub, request, grant)

    @staticmethod
    def cross_origin(view: ViewFunction) -> ViewFunction:
        """Let pages of ``SIMULCAST_ALLOWED_ORIGINS`` send this view requests that need a preflight, such as a POST with JSON
        to a view that writes a stream. A view for GET needs no decorator. Put it below the route::

            @app.post("/ask")
            @simulcast.cross_origin
            def ask():
        """
        return preflight.marked(view)

    def writer(self) -> Writer:
        """Return a stream that the view writes itself; see `Writer`.

        Raises:
            NoRequestError, NotHTTPError, StreamingNotSupportedError: There is no response to write.
        """
        if not has_request_context():
            raise NoRequestError("There is no request to answer. Call simulcast.writer() in a view.")
        state = current_state()
        headers = cors.headers_for(request.headers.get("Origin"), state.settings.allowed_origins)
        return Writer.of_request(state.settings, state.metrics, headers, default_of(current_app))

    @contextmanager
    def client_gone(self) -> Iterator[Flag]:
        """Yield a flag that is set when the client leaves, for a view that waits for something before it answers::

            with simulcast.client_gone() as gone:
                while not is_done() and not gone.wait(0.1):  # switches; True as soon as the client has left
                    ...

        Read the request's body first. If the server shows no socket that can be watched (TLS in gunicorn itself, a test
        client), the flag is never set: give the wait a deadline of its own.
        """
        with client_gone(request.environ) as gone:
            yield gone

    def json_rows(self, name: str, rows: Iterable[object]) -> Response:
        """Return a response that writes ``{"<name>":[…]}`` row by row. A row that fails cuts the body off.

        Args:
            name: Name of the list.
            rows: Taken while the response is sent, without a request context.
        """
        return Response(json_rows.JSONRows(name, rows, default_of(current_app)), mimetype="application/json")

    def _stream(self, encoding: Encoding, channels: str | Iterable[str], options: StreamOptions) -> Response:
        encoding = options.get("encoding", encoding)
        names, grant = self._admitted(channels, options)
        if (mirrored := reflect(self.hub, request)) is not None:  # for the doctor; costs no ticket, and no place
            return mirrored
        if not sse.is_over(resume_of(request, options)):
            self.check_capacity(grant)  # first, so that a full worker does not cost the ticket
            grant = self._spent(grant)
        return respond(self.hub, request, encoding, names, grant, options)

    def _admitted(self, channels: str | Iterable[str], options: StreamOptions) -> tuple[tuple[str, ...], Grant]:
        """Return the names of the channels, and the grant that allows its holder to listen to them."""
        names = checked_channels(channels, self.hub.settings.max_channels_per_listener)
        return names, self._grant_for(names, options.get("grant"))

    def _spent(self, grant: Grant) -> Grant:
        """Spend the ticket of the current request, if its grant is used; return the grant to go on with."""
        return self.spend_ticket() if grant is g.get("simulcast_grant") else grant
