"""Whether gunicorn's worker has the extension's hooks: without them it cuts its streams when it stops."""

from __future__ import annotations

import logging
from typing import Any

_ONE_LINE = "gunicorn -c python:flask_simulcast.gunicorn app:app"

_log = logging.getLogger("flask_simulcast")
_is_settled = False  # in this process: a worker either has the hooks before its first request, or never


def are_there() -> None:
    """Note that this worker has the hooks. They call it, before the first request."""
    global _is_settled  # noqa: PLW0603 - it is the process that has them
    _is_settled = True


def warn_if_missing(environ: dict[str, Any]) -> None:
    """Log a warning, once in a process, if a stream is opened under gunicorn without the hooks."""
    global _is_settled  # noqa: PLW0603 - the same
    if _is_settled or "gunicorn.socket" not in environ:
        return
    _is_settled = True
    _log.warning(
        "gunicorn runs without Simulcast's hooks, so a worker that stops cuts its streams after 30 s, without `closed`. Start "
        "it with `%s`, or begin your gunicorn.conf.py with `from flask_simulcast.gunicorn import *`.",
        _ONE_LINE,
    )
