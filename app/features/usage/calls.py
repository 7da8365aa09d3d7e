"""Calls: records what answers of this service used. Each is recorded once, by the worker that made it."""

from __future__ import annotations

import logging
import time

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from ...flask_simulcast import SimulcastError
from . import schemas, service, store

_log = logging.getLogger(__name__)


def record_call(app: Flask, *, id: str, model: str, user: str, tokens: int) -> None:
    """Record a call of a model: its tokens as credits. A call that used nothing is no record. Switches."""
    if tokens <= 0:
        return
    record = store.New(
        min(tokens, schemas.MAX_CREDITS),
        _name(model) or "?",
        time.time_ns() // 1_000_000,
        service.origin_of("call", id),
        _name(user) or None,
    )
    try:
        service.keep([record])
    except (SimulcastError, SQLAlchemyError) as error:
        _log.warning("The usage of %s is not recorded: %s tokens. %s", id, tokens, error)


def _name(text: str) -> str:
    """Return the part of a name that is recorded, in characters that each database can store."""
    return "".join(one if one.isprintable() else "?" for one in text[: schemas.MAX_NAME_CHARACTERS])
