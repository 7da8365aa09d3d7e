"""Simulcast: the Flask extension, which application code calls."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, current_app
from werkzeug.routing.exceptions import WebsocketMismatch

from .app_state import KEY, AppState, current_state
from .brokers import check_url, located
from .brokers.base import ChannelSummary
from .channel_names import checked_channel, checked_channels
from .cli.group import Commands, told_at_a_prompt
from .data import Default
from .error_responses import as_response
from .errors import SimulcastError
from .event import Draft, IdempotencyKey, check_key, check_publishable, check_type
from .hot import HotRoutes, known
from .hub.history import History
from .hub.hub import Hub
from .metrics import Metrics
from .on_commit import publish_on_commit, session_of_app
from .ops.blueprint import make_blueprint
from .ops.readers import MayRead
from .presence import Member, Place
from .publisher import Publishing, checked_drafts
from .revoking import Revoking
from .running import Running
from .settings import Settings, misspelt
from .transports import preflight
from .transports.app_json import default_of
from .transports.websocket import Connections, mismatch
from .transports.writer.writer import keep_start_response

_log = logging.getLogger("flask_simulcast")


class Simulcast(Publishing, Running, Revoking):
    """Publishes an event once, to every listener of the fleet.

    ::

        simulcast = Simulcast(app)

        @app.get("/orders/stream")
        def orders():
            return simulcast.sse("orders")

        simulcast.publish("orders", {"id": 7}, type="created")

    One object serves any number of apps. The state of an app is in ``app.extensions["simulcast"]``.

    Args:
        app: The app to set up. Without it, call `init_app` later.
        answers_preflights: Whether to answer preflights of pages of ``SIMULCAST_ALLOWED_ORIGINS`` for streams of this app. A
            preflight that the app answers itself, with Flask-CORS for example, is left alone in any case.
        reserved: Channel prefixes that the app uses itself, for commands for example. A star alone in a grant does not match
            them, only a pattern that begins with the prefix as written. See `Grant`.
    """

    def __init__(
        self, app: Flask | None = None, *, answers_preflights: bool = True, reserved: Iterable[str] = ()
    ) -> None:
        self._answers_preflights = answers_preflights
        self.reserved = tuple(reserved)
        if app is not None:
            self.init_app(app)

    @told_at_a_prompt()
    def init_app(self, app: Flask, *, own_settings: Collection[str] = (), create: bool = True) -> None:
        """Read and check the SIMULCAST_* settings. Later changes of ``app.config`` have no effect.

        Opens nothing: each process opens the log at its first use. Adds the commands ``flask simulcast …``. An unknown
        SIMULCAST_* key is named in a warning, with the setting that is probably meant.

        Args:
            own_settings: SIMULCAST_* keys of ``app.config`` that belong to the app. There is no warning about them.
            create: Whether the first use creates a missing SQLite log. If not, it raises BrokerUnavailableError: for a
                program that must reach the listeners of a server, or fail.

        Raises:
            SettingError: A setting is invalid.
            RuntimeError: The app is set up already.
        """
        if KEY in app.extensions:
            raise RuntimeError("This app has a Simulcast already. Call init_app once for each app.")
        for key, meant in misspelt(app.config, own_settings).items():
            hint = (
                f"Did you mean {meant}?" if meant else "If it is your app's own, name it in init_app(own_settings=…)."
            )
            _log.warning("%s is not a setting of the extension, so it has no effect. %s", key, hint)
        settings = located(Settings.from_config(app.config), app.instance_path)
        check_url(settings)
        app.extensions[KEY] = AppState(settings, create=create)
        app.cli.add_command(Commands())
        app.register_error_handler(SimulcastError, self._as_response)
        app.register_error_handler(WebsocketMismatch, lambda error: self._as_response(mismatch(error)))
        if self._answers_preflights and settings.allowed_origins:
            last = known(partial(preflight.answered, allowed=settings.allowed_origins))
            app.after_request_funcs.setdefault(None, []).insert(0, last)  # these run backwards
        app.wsgi_app = known(  # type: ignore[assignment,method-assign]
            keep_start_response(app.wsgi_app), wraps=app.wsgi_app
        )

    # Publishing and streaming: the other methods are in `Publishing`, `Streaming`, `Running` and `Revoking`

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
        raw: bool = False,
    ) -> None:
        """Publish right after the current database transaction commits; never if it is rolled back.

        If the log refuses the event after the commit, the error is logged and counted: the commit can't be undone. Needs
        SQLAlchemy.

        Args:
            channel, type, idempotency_key, raw: As in `publish`.
            data: As in `publish`; or a function that returns it. It is called after the last flush, before the commit, when a
                new row has its key and its defaults. If it raises, nothing is committed.
            session: A SQLAlchemy session. Defaults to Flask-SQLAlchemy's of the current app.

        Raises:
            InvalidEventError: As in `publish`.
        """
        hub, default, name = self.hub, self._default, check_publishable(channel)
        check_type(type)
        if idempotency_key is not None:
            check_key(idempotency_key.key if isinstance(idempotency_key, IdempotencyKey) else idempotency_key)

        def make_drafts() -> list[Draft]:
            found = data() if callable(data) else data
            return checked_drafts((name,), found, type, idempotency_key, hub.settings, default, raw)

        own = session_of_app(current_app) if session is None else session
        publish_on_commit(own, make_drafts, hub.publish, is_late=callable(data))

    def check(self, channel: str, data: object, *, type: str = "message", raw: bool = False) -> None:
        """Check that `publish` would accept an event, for a caller that must do something else first. Stores nothing.

        Raises:
            InvalidEventError: As in `publish`.
        """
        checked_drafts((check_publishable(channel),), data, type, None, self.settings, self._default, raw)

    # Presence

    def listeners(self, *, after: str = "", limit: int = 100, channel: str = "", user: str = "") -> list[Place]:
        """Return the listeners of all workers, in the order of their ids.

        Args:
            after: Id of the last listener of the previous page.
            limit: Maximum number of listeners.
            channel, user: Return only listeners of this channel or user.
        """
        return self.hub.broker.places(after, limit, channel=channel, user=user)

    def members(self, channel: str, *, after: str = "", limit: int = 100) -> list[Member]:
        """Return the members that are present on a channel, over all workers, in the order of their names.

        Args:
            after: Name of the last member of the previous page.
            limit: Maximum number of members.
        """
        return self.hub.broker.members(checked_channel(channel), after, limit)

    # What operators ask

    def ops(self, *, token: str = "", may_read: MayRead | None = None, folder: str | Path | None = None) -> Blueprint:
        """Make a blueprint with ``/metrics`` (Prometheus, added up over all workers of the machine), ``/healthz`` (200 if a
        worker answers) and ``/readyz`` (200 if the log can be read and the worker is not about to stop)::

            app.register_blueprint(simulcast.ops())

        Register it after `init_app`, with an ``url_prefix`` if you like. Without arguments only a client on this machine can
        read the metrics, through no proxy. Health answers to all clients; it tells no figures.

        Args:
            token: Bearer token that a reader of the metrics must send.
            may_read: A function that tells whether the current request may read the metrics, instead of a token.
            folder: Folder in which the workers share their figures. A relative path begins in the app's instance folder;
                ``metrics`` there is the default.

        Raises:
            ValueError: There is both a token and ``may_read``.
        """
        return make_blueprint(token=token, may_read=may_read, folder=folder)

    # What programs call

    def rpc(
        self,
        *,
        before_publish: Callable[[int], object] | None = None,
        sender: Callable[[], str] | None = None,
        reflection: bool = False,
    ) -> Blueprint:
        """Make a blueprint with the calls of ``simulcast.v1.StreamService``: publish and listen by gRPC, gRPC-Web and Connect.
        ``grpc.health.v1.Health`` is beside it::

            app.register_blueprint(simulcast.rpc())

        Grants of the authorizer say what a client may do; without an authorizer every call is refused. Clients expect the
        service at the root, so register it without an ``url_prefix``. Needs ``flask-simulcast[rpc]``.

        Args:
            before_publish: Called with the number of events that a call is about to publish. Its errors refuse the call.
            sender: Returns the sender of the current request: an idempotency key counts only for its sender. Defaults to
                the user of the grant, or else its token.
            reflection: Whether tools may ask for the schemas of all services of the app. `flask_simulcast.rpc` says how to
                add some.
        """
        from .rpc.blueprint import make_blueprint  # with protobuf: an app without RPC starts without it

        return make_blueprint(self, before_publish, sender, reflection=reflection)

    # What pages load

    def js_client(self) -> Blueprint:
        """Make a blueprint with ``/simulcast/simulcast.js``, the client for pages as one ES module::

            app.register_blueprint(simulcast.js_client())

        A page imports it from there: ``import { connect } from "/simulcast/simulcast.js"``. Register it with an ``url_prefix``
        if you like; then ``url_for("simulcast_client.static", filename="simulcast.js")`` is its URL.
        """
        return Blueprint("simulcast_client", __name__, static_folder="static", static_url_path="/simulcast")

    # History

    def channels(self, *, after: str = "", limit: int = 100, prefix: str = "") -> list[ChannelSummary]:
        """Return the channels that have events or listeners, in the order of their names. The cost is that of the page, whatever
        the histories hold.

        Args:
            after: Name of the last channel of the previous page.
            limit: Maximum number of channels.
            prefix: Return only channels that begin with it.

        Raises:
            BrokerUnavailableError: The log can't be read.
        """
        return self.hub.broker.channels(after, limit, prefix=prefix)

    def history(self, channels: str | Iterable[str], *, after: str | None = None, limit: int = 100) -> History:
        """Return a page of the history of some channels.

        Args:
            channels: One name or several.
            after: Position after which the page starts; None for the newest events.
            limit: Maximum number of events. A page has at most about 1 MiB.

        Raises:
            ChannelNameError, ChannelCountError: A name is invalid, or the number of names is.
            BrokerUnavailableError: The log can't be read.
        """
        hub = self.hub
        return hub.history(checked_channels(channels, hub.settings.max_channels_per_listener), after, limit)

    # Periodic jobs

    def hold_lease(self, name: str, seconds: float) -> bool:
        """Take or renew a lease, and tell whether this worker holds it. One worker of the fleet holds it at a time, and runs
        the job. May switch.

        Args:
            seconds: Seconds after which the lease ends by itself, at most 60, so that another worker takes over the job of a
                killed one.

        Raises:
            BrokerUnavailableError: The log can't be reached, so the holder is unknown.
        """
        hub = self.hub
        return hub.broker.hold_lease(name, hub.id, seconds)

    def release_lease(self, name: str) -> None:
        """Give a lease back before it ends. May switch."""
        hub = self.hub
        hub.broker.release_lease(name, hub.id)

    # Routes that a StreamWorker answers itself

    def hot_routes(self, app: Flask) -> HotRoutes:
        """Return the app's hot routes, to add some; see the module ``hot``."""
        routes: HotRoutes = app.extensions[KEY].hot
        return routes

    # The state of the app

    @property
    def hub(self) -> Hub:
        """The current app's hub in this process, made at first use."""
        return current_state().hub(current_app._get_current_object())  # type: ignore[attr-defined]

    @property
    def settings(self) -> Settings:
        """The current app's settings."""
        return current_state().settings

    @property
    def metrics(self) -> Metrics:
        """The current app's counters in this process."""
        return current_state().metrics

    @property
    def connections(self) -> Connections:
        """The current app's WebSockets in this process."""
        return current_state().connections

    def close(self, app: Flask) -> None:
        """Close the app's log in this process and stop its greenlets. The next use opens the log again. Switches."""
        app.extensions[KEY].close()

    # Inside

    def _as_response(self, error: SimulcastError) -> Response:
        return as_response(error, self.challenge)
