"""AppState: what one app has of the extension: checked settings, counters, WebSockets, and a hub for each process."""

from __future__ import annotations

import os
from weakref import WeakSet

from flask import Flask, current_app, has_request_context, request

from .brokers import check_alone, connect
from .errors import SettingError
from .hub.hub import Hub
from .metrics import Metrics
from .settings import Settings
from .transports.websocket import Connections

#: Where an app keeps it: ``app.extensions["simulcast"]``.
KEY = "simulcast"

# The server may be given a middleware around an app, or around several: it shows no `extensions`.
_states: WeakSet[AppState] = WeakSet()


class AppState:
    """One for each app.

    Args:
        settings: Checked.
        create: Whether opening the log may make an SQLite file that is not there.
    """

    def __init__(self, settings: Settings, *, create: bool) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.connections = Connections(settings, self.metrics)
        self._create = create
        self._hub: Hub | None = None
        _states.add(self)

    def hub(self, app: Flask) -> Hub:
        """The hub of this process. May switch when it is made: at first use, and again after a fork, because sockets and
        database files must not cross one.

        Args:
            app: The sender of the hub's signals.

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
        """Close the log in this process. The next use opens it again. Switches."""
        hub, self._hub = self._hub, None
        if hub is not None and hub.pid == os.getpid():
            hub.close()


def current_state() -> AppState:
    """The state of the current app.

    Raises:
        RuntimeError: The app was not set up.
    """
    try:
        state: AppState = current_app.extensions[KEY]
    except KeyError:
        raise RuntimeError("This app has no Simulcast. Call Simulcast(app) or simulcast.init_app(app) first.") from None
    return state


def settings_of_this_process() -> list[Settings]:
    """The settings of every app in this process, for the server's hooks."""
    return [state.settings for state in _states]


def _check_multiprocess(settings: Settings) -> None:
    """Ask the server (PEP 3333) whether there are other workers: it knows, however the app is wrapped."""
    if settings.has_memory_log and has_request_context() and request.environ.get("wsgi.multiprocess"):
        raise SettingError(
            "SIMULCAST_BROKER_URL=memory:// with several workers: each would have a log of its own, and a listener would miss "
            "what the others publish. Use SIMULCAST_BROKER_URL=sqlite:///instance/simulcast.db, or one worker."
        )
