"""Simulcast: the Flask extension. What application code calls."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from functools import partial
from typing import Any

from flask import Flask, Response, current_app
from werkzeug.routing.exceptions import WebsocketMismatch

from .app_state import KEY, AppState, current_state
from .brokers import check_url, located
from .channel_names import checked_channel, checked_channels
from .error_responses import as_response
from .errors import NoSuchListenerError, SimulcastError
from .event import Default, Draft, IdempotencyKey, check_key, check_publishable, check_type
from .hub.history import History
from .hub.hub import Hub
from .metrics import Metrics
from .on_commit import publish_on_commit, session_of_app
from .presence import Member, Place
from .publisher import Publishing, checked_drafts
from .settings import Settings, misspelt
from .streaming import Streaming
from .transports import preflight
from .transports.app_json import default_of
from .transports.websocket import Connections, mismatch
from .transports.writer.writer import keep_start_response

_log = logging.getLogger("flask_simulcast")


class Simulcast(Publishing, Streaming):
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
        if KEY in app.extensions:
            raise RuntimeError("This app has a Simulcast already. Call init_app once for each app.")
        for key, nearest in misspelt(app.config, own_settings).items():
            _log.warning("%s is not a setting, so it has no effect. Did you mean %s?", key, nearest)
        settings = located(Settings.from_config(app.config), app.instance_path)
        check_url(settings)
        app.extensions[KEY] = AppState(settings, create=create)
        app.register_error_handler(SimulcastError, self._as_response)
        app.register_error_handler(WebsocketMismatch, lambda error: self._as_response(mismatch(error)))
        if self._answers_preflights and settings.allowed_origins:
            last = partial(preflight.answered, allowed=settings.allowed_origins)
            app.after_request_funcs.setdefault(None, []).insert(0, last)  # these run backwards
        app.wsgi_app = keep_start_response(app.wsgi_app)  # type: ignore[assignment,method-assign]

    # Publishing and streaming: the other verbs are in `Publishing` and `Streaming`

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

        own = session_of_app(current_app) if session is None else session
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
        return self.hub.broker.members(checked_channel(channel), after, limit)

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
        hub = self.hub
        return hub.history(checked_channels(channels, hub.settings.max_channels_per_listener), after, limit)

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
        """Close the app's log in this process and stop its greenlets; the next use opens it again. Switches."""
        app.extensions[KEY].close()

    # Inside

    def _as_response(self, error: SimulcastError) -> Response:
        return as_response(error, self.challenge)
