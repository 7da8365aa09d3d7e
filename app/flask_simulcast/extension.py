"""Simulcast: the Flask extension. What application code calls."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask import Flask, Response, current_app, jsonify, request

from .brokers import check_url, connect
from .encoding import Encoding
from .encoding.ndjson import NDJSON
from .encoding.sse import SSE
from .errors import ChannelCountError, EventTooLargeError, ListenError, SimulcastError
from .event import Draft, Event, View, byte_length, check_channel, check_key, check_publishable, check_type, encode_data
from .hub import Hub
from .listener import Listener
from .metrics import Metrics
from .settings import Settings
from .transports import json_rows, ndjson, sse
from .transports.stream import Stream

_KEY = "simulcast"
_log = logging.getLogger("flask_simulcast")


class _State:
    """What one app has: checked settings, counters, and a hub for each process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self._hub: Hub | None = None

    def hub(self, app: Flask) -> Hub:
        """Made at first use in a process, again after a fork: sockets and database files must not cross one."""
        hub = self._hub
        if hub is None or hub.pid != os.getpid():
            hub = self._hub = Hub(connect(self.settings), self.settings, self.metrics, app)
        return hub

    def close(self) -> None:
        hub, self._hub = self._hub, None
        if hub is not None and hub.pid == os.getpid():
            hub.close()


class Simulcast:
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
    """

    def __init__(self, app: Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Read and check the SIMULCAST_* settings. Later changes of ``app.config`` have no effect.

        Opens nothing: the log is opened at first use in each process.

        Raises:
            SettingError: A setting can't be used.
            RuntimeError: This app has been set up already.
        """
        if _KEY in app.extensions:
            raise RuntimeError("This app has a Simulcast already. Call init_app once for each app.")
        settings = Settings.from_config(app.config)
        check_url(settings)
        app.extensions[_KEY] = _State(settings)
        app.register_error_handler(SimulcastError, _as_response)

    # Publishing

    def publish(
        self, channel: str, data: object, *, type: str = "message", idempotency_key: str | None = None
    ) -> Event:
        """Append one event to a channel's history and hand it to every listener of the fleet.

        Returns once the log has the event, not once clients have it: a listener may be slow, offline, or
        on another machine. Two calls from one greenlet keep their order. May switch.

        Args:
            channel: 1-128 characters of ``A-Z a-z 0-9 . _ : -``. Case matters.
            data: Anything JSON can hold. Encoded here, once, for all transports.
            type: Event name for ``addEventListener``. No CR, LF or NUL.
            idempotency_key: A second publish with the same key within 300 s is the same event.

        Raises:
            InvalidEventError: Channel, type, data or key can't be used.
            EventTooLargeError: The encoded data exceeds ``SIMULCAST_MAX_EVENT_BYTES``.
            BrokerUnavailableError: Certainly not stored. Safe to try again.
            PublishUncertainError: Perhaps stored. Try again only with an idempotency key.
        """
        return self.publish_many(
            [{"channel": channel, "data": data, "type": type, "idempotency_key": idempotency_key}]
        )[0]

    def publish_many(self, events: Iterable[Mapping[str, Any]]) -> list[Event]:
        """Append several events, to any channels, all or none, in this order. May switch.

        Args:
            events: Mappings with ``channel``, ``data`` and, if wanted, ``type`` and ``idempotency_key``.

        Raises:
            InvalidEventError: One of them can't be published; its message says which. None is stored.
            BrokerUnavailableError, PublishUncertainError: As `publish`.
        """
        app, state = self._here()
        drafts = [_draft(event, number, state.settings) for number, event in enumerate(events)]
        return state.hub(app).publish(drafts)

    def check(self, channel: str, data: object, *, type: str = "message") -> None:
        """Whether `publish` would take this, for one who must do something else first. Stores nothing.

        Raises:
            InvalidEventError: As `publish`.
        """
        _draft({"channel": channel, "data": data, "type": type}, 0, self.settings)

    # Streams, for views to return

    def sse(
        self,
        channels: str | Iterable[str],
        *,
        view: View | None = None,
        snapshot: Callable[[], object] | None = None,
        snapshot_type: str = "snapshot",
        heartbeat_as_comment: bool = False,
    ) -> Response:
        """A response that streams these channels as server-sent events.

        A client that comes back with ``Last-Event-ID`` (or ``?last_event_id=``) gets what it missed, or a
        ``gap`` event that says plainly that it can't.

        Args:
            channels: One name or several.
            view: A pure, hashable function that drops (None) or narrows an event. Listeners with an equal
                view share their bytes, so make it once, not in each request.
            snapshot: Called now, in the request, for data that the stream then goes on from: the position
                is taken first, so that nothing falls between. Not called for a client that can resume.
            snapshot_type: Event type of the snapshot.
            heartbeat_as_comment: For clients that know no ``heartbeat`` event.

        Raises:
            ChannelNameError, ChannelCountError: The channels can't be listened to.
            ListenError: No room (EventSource is answered politely instead, or it would never come back).
            NotPatchedError: This process can't stream.
        """
        return self._stream(SSE, channels, view, snapshot, snapshot_type, heartbeat_as_comment)

    def ndjson(
        self,
        channels: str | Iterable[str],
        *,
        view: View | None = None,
        snapshot: Callable[[], object] | None = None,
        snapshot_type: str = "snapshot",
    ) -> Response:
        """The same as one JSON object a line, ``{"id", "channel", "type", "time", "data"}``."""
        return self._stream(NDJSON, channels, view, snapshot, snapshot_type, heartbeat_as_comment=False)

    def stream(self, channels: str | Iterable[str], **options: Any) -> Response:
        """`ndjson` for a client that asks for ``application/x-ndjson``, `sse` for all others."""
        if ndjson.is_wanted(request):
            options.pop("heartbeat_as_comment", None)
            return self.ndjson(channels, **options)
        return self.sse(channels, **options)

    def json_rows(self, name: str, rows: Iterable[object]) -> Response:
        """A response that writes ``{"<name>":[…]}`` row by row. A row that fails cuts the body off.

        Args:
            name: Of the list.
            rows: Taken while the response is sent, without a request context.
        """
        return Response(json_rows.json_rows(name, rows), mimetype="application/json")

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

    def _stream(
        self,
        encoding: Encoding,
        channels: str | Iterable[str],
        view: View | None,
        snapshot: Callable[[], object] | None,
        snapshot_type: str,
        heartbeat_as_comment: bool,
    ) -> Response:
        app, state = self._here()
        names = _channel_names(channels, state.settings)
        resume = sse.resume_of(request)
        if sse.is_over(resume):
            return Response(status=204)
        hub = state.hub(app)
        try:
            hub.check_room()
        except ListenError as error:
            if encoding is SSE and sse.is_event_source(request):
                return sse.turned_away(hub, error.code)
            raise
        start, prelude = None, b""
        if snapshot is not None and not hub.can_resume(resume, names):
            start = hub.position
            prelude = encoding.notice(check_type(snapshot_type), encode_data(snapshot()), str(start))

        def make_listener(cut: Callable[[], None]) -> Listener:
            return Listener(
                names,
                encoding,
                resume=resume,
                start=start,
                view=view,
                queue_bytes=state.settings.listener_queue_bytes,
                heartbeat_as_comment=heartbeat_as_comment,
                cut=cut,
            )

        body = Stream(hub, make_listener, request.environ, prelude)
        return sse.respond(body) if encoding is SSE else ndjson.respond(body)


def _draft(event: Mapping[str, Any], number: int, settings: Settings) -> Draft:
    try:
        draft = Draft(
            check_publishable(event.get("channel")),
            check_type(event.get("type", "message")),
            encode_data(event.get("data")),
            check_key(event.get("idempotency_key")),
        )
        size = byte_length(draft.data)
        if size > settings.max_event_bytes:
            raise EventTooLargeError(
                f"The data has {size} bytes as JSON, and {settings.max_event_bytes} are allowed. "
                "Send a reference to it, or raise SIMULCAST_MAX_EVENT_BYTES."
            )
    except SimulcastError as error:
        error.args = (f"Event {number}: {error}",) if number else error.args
        raise
    return draft


def _channel_names(channels: str | Iterable[str], settings: Settings) -> tuple[str, ...]:
    given = [channels] if isinstance(channels, str) else list(channels)
    limit = settings.max_channels_per_listener
    if not 1 <= len(given) <= limit:
        raise ChannelCountError(f"{len(given)} channels were named. Name 1 to {limit}.")
    return tuple(sorted({check_channel(name) for name in given}))


def _as_response(error: SimulcastError) -> Response:
    """What a client is told: the code, and what to do. Errors of the set-up stay errors."""
    if error.status == 500:
        raise error
    if error.public is not None:
        _log.warning("%s", error)
    response = jsonify(error={"code": error.code, "message": error.public or str(error)})
    response.status_code = error.status
    if error.status == 503:
        response.headers["Retry-After"] = "1"
    return response
