"""gunicorn's configuration for an app that streams::

    gunicorn -c python:flask_simulcast.gunicorn app:app

Every value is a default. The command line and ``GUNICORN_CMD_ARGS`` go before it, and so does a ``gunicorn.conf.py`` of your
own that begins with ``from flask_simulcast.gunicorn import *``. A hook of your own there replaces the one of the same name,
so let it call that one first: ``hooks.post_worker_init(worker)``.

gunicorn reads this in its master process, before its workers are patched. So nothing here imports Flask, gevent or an app: the
hooks import what they need when a worker calls them.

Without the hooks a stopping worker cuts its streams after ``graceful_timeout``, without a ``closed`` event, and its runs at
once; a client
that vanished from the network is noticed only after fifteen minutes; a second worker on a memory log is refused only at
its first use; and gunicorn's log quotes a request line that gunicorn refuses, with the ticket in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

# gunicorn takes each name of this module that is one of its settings. So no part of this package has such a name ("config").
from . import hooks
from .defaults import (
    access_log_format,
    graceful_timeout,
    keepalive,
    limit_request_line,
    worker_class,
    worker_connections,
    worker_tmp_dir,
)
from .hooks import on_starting, post_fork, post_worker_init, worker_exit, worker_int

if TYPE_CHECKING:
    from .stream_worker import StreamWorker

__all__ = [
    "StreamWorker",
    "access_log_format",
    "graceful_timeout",
    "hooks",
    "keepalive",
    "limit_request_line",
    "on_starting",
    "post_fork",
    "post_worker_init",
    "worker_class",
    "worker_connections",
    "worker_exit",
    "worker_int",
    "worker_tmp_dir",
]


def __getattr__(name: str) -> object:
    """Import `StreamWorker` at its first use, because it imports gunicorn's gevent worker."""
    if name != "StreamWorker":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .stream_worker import StreamWorker

    return StreamWorker
