"""What the service writes to stderr: a line for each message, as gunicorn writes its own.

The extension writes a line at the end of each stream (logger ``flask_simulcast.streams``, as JSON). Query strings carry
tickets, so none is written, not even by the development server.
"""

from __future__ import annotations

import logging
import os
import re

from flask import Flask

LEVELS = ("debug", "info", "warning", "error", "critical")
# Those of the service and of the extension. All others speak up when something is wrong.
_OWN = ("app", "flask_simulcast")
_FORMAT = "[%(asctime)s] [%(process)d] [%(levelname)s] %(name)s: %(message)s"
_DATE = "%Y-%m-%d %H:%M:%S %z"
_QUERY = re.compile(r"\?[^\s\"']*")


def init_app(app: Flask) -> None:
    """Have messages written, unless somebody has seen to that already: then nothing is changed."""
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
    """A message can't look like two. A traceback follows on lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = record.message.replace("\r", "\\r").replace("\n", "\\n")
        return super().formatMessage(record)


def _without_query(record: logging.LogRecord) -> bool:
    """The development server writes whole request lines."""
    if isinstance(record.msg, str):
        record.msg = _QUERY.sub("", record.msg)
    if isinstance(record.args, tuple):
        record.args = tuple(_QUERY.sub("", each) if isinstance(each, str) else each for each in record.args)
    return True
