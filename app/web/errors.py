"""Error answers, as JSON: ``{"error": {"code", "message"}}``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, Response, current_app, jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import OperationalError, TimeoutError
from werkzeug.exceptions import HTTPException

from ..flask_simulcast import SimulcastError

_log = logging.getLogger(__name__)


class ApiError(Exception):
    """An error of a view: the status, a code for programs, and a sentence or two for people."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}


class DatabaseUnavailableError(ApiError):
    """The database can't be used now."""

    def __init__(self) -> None:
        text = "The database can't be used now. Try again in a second."
        super().__init__(503, "database_unavailable", text, {"Retry-After": "1"})


class _NotNowError(SimulcastError):
    """The same, as the extension answers it."""

    status = 503
    code = "database_unavailable"


def init_app(app: Flask) -> None:
    """Answer every error as JSON."""
    app.register_error_handler(ApiError, _api_error)
    app.register_error_handler(HTTPException, _http_exception)
    app.register_error_handler(DatabaseUnavailableError, _not_now)
    app.register_error_handler(OperationalError, _database_error)
    app.register_error_handler(TimeoutError, _database_error)  # of the pool: no connection became free


def _api_error(error: ApiError) -> Response:
    response = _answer(error.status, error.code, str(error))
    response.headers.update(error.headers)
    return response


@contextmanager
def database_errors() -> Iterator[None]:
    """Raise an `ApiError` instead of an error of a database that can't be used: `init_app` has no part in a message of a
    WebSocket and in a call of RPC. Also a decorator."""
    try:
        yield
    except (OperationalError, TimeoutError) as error:
        raise _unavailable(error) from error


def _database_error(error: OperationalError | TimeoutError) -> ResponseReturnValue:
    return _not_now(_unavailable(error))


def _unavailable(error: OperationalError | TimeoutError) -> DatabaseUnavailableError:
    _log.error("The database can't be used: %s", error.orig if isinstance(error, OperationalError) else error)
    return DatabaseUnavailableError()


def _not_now(error: DatabaseUnavailableError) -> ResponseReturnValue:
    """Answer as the extension does: an EventSource gets 200 and is told to come back, because any other status would end it."""
    answer: ResponseReturnValue = current_app.handle_user_exception(_NotNowError(str(error)))
    return answer


def _http_exception(error: HTTPException) -> Response:
    """Answer an error of Flask or Werkzeug: 404, 405, 413, and 500 for an exception that no handler has caught."""
    status = error.code or 500
    code = error.name.lower().replace(" ", "_")
    response = _answer(status, code, error.description or error.name)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _answer(status: int, code: str, message: str) -> Response:
    response = jsonify(error={"code": code, "message": message})
    response.status_code = status
    return response
