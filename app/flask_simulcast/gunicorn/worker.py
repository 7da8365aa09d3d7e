"""What the hooks do in a worker, where the app is loaded and gevent has patched.

They find the apps in the process, not in what the server was given: that can be a middleware.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Any

import gevent

from .. import server_log
from ..app_state import settings_of_this_process, states_of_this_process
from ..errors import SettingError
from ..hub.drain import drain_process, stop_runs
from ..keepalive import Keepalive, keepalive_for
from ..loop_thread import in_loop
from ..ops.reporter import start_reporters
from ..settings import INSTEAD_OF_MEMORY, Settings
from ..transports import server_hooks
from ..transports.handover import ShowsResponse
from ..transports.websocket import drain_websockets

_WATCH_SECONDS = 0.05
_IS_LEAVING = "simulcast_is_leaving"
_LEFT_AT = "simulcast_left_at"
_DRAIN = "simulcast_drain"
_QUIT = "simulcast_quit"
_HTTP_2 = "simulcast_http_2"
# What a worker needs after its last run: to store the ending, and to exit before gunicorn kills it.
_EXIT_SECONDS = 3.0


def start(worker: Any) -> None:
    """Refuse a memory log with several workers; guard gunicorn's own log; set socket options; share the worker's figures;
    drain the worker when it stops.

    TERM, HUP and ``max_requests`` all set ``worker.alive`` to False, which a thread watches; in a patched worker, a greenlet.
    """
    server_hooks.are_there()
    server_log.guard(worker.log)
    settings = settings_of_this_process() or [Settings()]
    _refuse_memory_of_many(worker, settings)
    keepalive = keepalive_for(min(each.heartbeat_seconds for each in settings))
    for listening in worker.sockets:
        _set_options(listening, keepalive)
    start_reporters()
    worker.wsgi = ShowsResponse(worker.wsgi)
    if any(each.http2 for each in settings):
        _take_http_2(worker)
    drain = threading.Thread(target=_drain_at_end, args=(worker,), daemon=True)
    setattr(worker, _DRAIN, drain)
    drain.start()


def _take_http_2(worker: Any) -> None:
    """Serve HTTP/2, too.

    Raises:
        SettingError: What it needs is not installed.
    """
    try:
        from .http2.connections import Connections
    except ImportError as error:
        raise SettingError(
            "SIMULCAST_HTTP2=true needs gunicorn 27 and h2. Install them: pip install 'flask-simulcast[http2]'."
        ) from error
    worker.cfg.set("http_protocols", "h2,h1")  # what TLS offers
    state = states_of_this_process()[0]
    connections = Connections(worker, state.metrics, state.settings)
    setattr(worker, _HTTP_2, connections)
    worker.handle = connections.handle


def drain(worker: Any) -> None:
    """Drain streams, WebSockets and calls at the same time. Each has its own deadline."""
    in_loop(_drain_all, worker)


def _drain_all(worker: Any) -> None:
    connections = getattr(worker, _HTTP_2, None)
    if connections is not None:
        connections.say_goodbye()  # first, so that no client begins a call here that will be refused
    calls = [state.calls.drain for state in states_of_this_process()]
    gevent.joinall([gevent.spawn(each) for each in (drain_process, drain_websockets, *calls)])


def drain_at_quit(worker: Any) -> None:
    """Drain, for a signal after which the worker exits.

    Ctrl-C reaches a worker twice, from the terminal and from the master. Each time gunicorn starts a greenlet that calls this
    and exits. The second one ends here: it would exit while Python shuts down, which prints a traceback.
    """
    if getattr(worker, _IS_LEAVING, False) and isinstance(gevent.getcurrent(), gevent.Greenlet):
        raise gevent.GreenletExit
    setattr(worker, _IS_LEAVING, True)
    setattr(worker, _QUIT, gevent.getcurrent())
    drain(worker)


def _set_options(listening: Any, keepalive: Keepalive) -> None:
    """Set keepalive options on a listening socket; accepted ones inherit them. TCP only: a unix socket has none of them."""
    if listening.family not in (socket.AF_INET, socket.AF_INET6):
        return
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in keepalive.options.items():
        if hasattr(socket, name):  # not every system has all of them
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _drain_at_end(worker: Any) -> None:
    while worker.alive:
        time.sleep(_WATCH_SECONDS)
    setattr(worker, _LEFT_AT, time.monotonic())
    drain(worker)


def wait_for_drain(worker: Any) -> None:
    """Wait until the last streams have ended. gunicorn does not count the parked ones, so it would leave in the middle.

    After a QUIT gunicorn's loop may leave while the greenlet of the signal still drains. At its end that greenlet exits, too, which
    gevent throws into this one: here, so that what follows is not cut, such as the end of the worker's children.
    """
    worker.alive = False  # a worker that lost its master has not been stopped
    quits = getattr(worker, _QUIT, None)
    if isinstance(quits, gevent.Greenlet):
        with suppress(SystemExit):
            quits.join(worker.cfg.graceful_timeout)
    drain: threading.Thread = getattr(worker, _DRAIN)
    drain.join(worker.cfg.graceful_timeout)


def stop_runs_in_time(worker: Any) -> None:
    """Let runs go on until ``graceful_timeout`` is nearly over, or ``timeout``, after which gunicorn kills a worker that does
    not report; then end them. After INT and QUIT they end at once."""
    seconds = 0.0
    if not getattr(worker, _IS_LEAVING, False):
        now = time.monotonic()
        graceful = getattr(worker, _LEFT_AT, now) + worker.cfg.graceful_timeout - now
        seconds = max(min(graceful, worker.cfg.timeout or graceful) - _EXIT_SECONDS, 0)
    in_loop(stop_runs, seconds)


def _refuse_memory_of_many(worker: Any, settings: list[Settings]) -> None:
    if worker.cfg.workers > 1 and any(each.has_memory_log for each in settings):
        raise SettingError(
            f"SIMULCAST_BROKER_URL=memory:// with {worker.cfg.workers} workers: each would have a log of its own, and a "
            f"listener would miss what the others publish. {INSTEAD_OF_MEMORY}"
        )
