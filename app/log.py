"""What the service writes to stderr: a line for each message, as gunicorn writes its own.

The extension writes a line at the end of each stream (logger ``flask_simulcast.streams``, as JSON). Query strings carry
tickets, so none is written, not even by the development server.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from flask import Flask

from .flask_simulcast import server_log

LEVELS = ("debug", "info", "warning", "error", "critical")
# Loggers of the service and of the extension. All others write only warnings and errors.
_OWN = ("app", "flask_simulcast")
_FORMAT = "[%(asctime)s] [%(process)d] [%(levelname)s] %(name)s: %(message)s"
_DATE = "%Y-%m-%d %H:%M:%S %z"


def init_app(app: Flask) -> None:
    """Set up logging, unless the root logger has handlers already."""
    logging.getLogger("werkzeug").addFilter(_without_query)
    if logging.getLogger().handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine(_FORMAT, _DATE))
    logging.getLogger().addHandler(handler)
    level = app.config["SIMULCAST_LOG_LEVEL"] or os.environ.get("LOG_LEVEL", "").lower()
    for name in _OWN:
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.setLevel((level if level in LEVELS else "info").upper())


class _OneLine(logging.Formatter):
    """A formatter whose messages can't look like two or control a terminal. The lines of a traceback are indented, so none of
    them can look like a message."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = server_log.visible(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        return "\n".join(f"  {server_log.visible(line)}" for line in super().formatException(ei).split("\n"))


def _without_query(record: logging.LogRecord) -> bool:
    """Remove queries from a record: the development server logs whole request lines, and quotes those that it can't parse."""
    if isinstance(record.msg, str):
        record.msg = _told(record.msg)
    if isinstance(record.args, tuple):
        record.args = tuple(_told(each) if isinstance(each, str) else each for each in record.args)
    return True


def _told(text: str) -> str:
    """Remove the query from a text. ``http.server`` quotes in brackets what it can't parse: ``Bad request version
    ('a&ticket=…')``."""
    return server_log.without_query(text.partition(" (")[0] if text.startswith("Bad ") else text)
