"""AppState: the extension's state of one app: checked settings, counters, WebSockets, and a hub for each process."""

from __future__ import annotations

import os
from weakref import WeakSet

from flask import Flask, current_app, has_request_context, request
from gevent.lock import BoundedSemaphore

from .brokers import check_alone, connect
from .errors import SettingError
from .hot import HotRoutes
from .hub.gateway import made_in_loop
from .hub.hub import Hub
from .loop_thread import in_loop
from .metrics import Metrics
from .settings import INSTEAD_OF_MEMORY, Settings
from .transports.open_calls import OpenCalls
from .transports.websocket import Connections

#: The key of the state: ``app.extensions["simulcast"]``.
KEY = "simulcast"

# All states of this process. The server can't find them: it may be given a middleware around one app or several, which has no
# `extensions`.
_states: WeakSet[AppState] = WeakSet()


class AppState:
    """The state of one app.

    Args:
        settings: Checked settings.
        create: Whether opening the log may create a missing SQLite file.
    """

    def __init__(self, settings: Settings, *, create: bool) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.connections = Connections(settings, self.metrics)
        self.calls = OpenCalls(settings)
        self.create = create
        self.hot = HotRoutes()
        self._hub: Hub | None = None
        self._making = BoundedSemaphore(1)
        _states.add(self)

    def hub(self, app: Flask) -> Hub:
        """Return the hub of this process, or its gateway, and make it at the first use. After a fork the child makes its own,
        because sockets and database files must not cross a fork. May switch while it makes one.

        Args:
            app: The sender of the hub's signals.

        Raises:
            SettingError: The log is in memory, and this is not the only worker.
        """
        hub = self._hub
        if hub is None or hub.pid != os.getpid():
            _check_multiprocess(self.settings)
            check_alone(self.settings)
            hub = in_loop(self._made, app)
        return hub

    def _made(self, app: Flask) -> Hub:
        """Make the hub, unless another request has made one meanwhile. Called where the loop is, and requests wait for each
        other there: a lock of threads would stop the loop if code in it asked for a hub that a thread is making."""
        with self._making:
            hub = self._hub
            if hub is None or hub.pid != os.getpid():
                hub = self._hub = made_in_loop(lambda: self._make(app))
            return hub

    def _make(self, app: Flask) -> Hub:
        return Hub(connect(self.settings, create=self.create), self.settings, self.metrics, app)

    def close(self) -> None:
        """Close the log in this process. The next use opens it again. Switches."""
        hub, self._hub = self._hub, None
        if hub is not None and hub.pid == os.getpid():
            hub.close()


def current_state() -> AppState:
    """Return the state of the current app.

    Raises:
        RuntimeError: The app is not set up.
    """
    try:
        state: AppState = current_app._get_current_object().extensions[KEY]  # type: ignore[attr-defined]  # 0.6 µs less
    except KeyError:
        raise RuntimeError("This app has no Simulcast. Call Simulcast(app) or simulcast.init_app(app) first.") from None
    return state


def states_of_this_process() -> list[AppState]:
    """Return the state of every app in this process."""
    return list(_states)


def settings_of_this_process() -> list[Settings]:
    """Return the settings of every app in this process, for the server's hooks."""
    return [state.settings for state in _states]


def _check_multiprocess(settings: Settings) -> None:
    """Refuse a memory log if the server has other workers. The server says so (PEP 3333), however the app is wrapped."""
    if settings.has_memory_log and has_request_context() and request.environ.get("wsgi.multiprocess"):
        raise SettingError(
            "SIMULCAST_BROKER_URL=memory:// with several workers: each would have a log of its own, and a listener would miss "
            f"what the others publish. {INSTEAD_OF_MEMORY}"
        )
