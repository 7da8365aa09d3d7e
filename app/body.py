"""What a request carries, read strictly."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from flask import request

from .errors import ApiError


def read() -> bytes:
    """The body of the request.

    Raises:
        RequestEntityTooLarge: It exceeds ``SIMULCAST_MAX_BODY_BYTES``.
    """
    body = request.get_data()
    if request.content_length is None:
        # A chunked body that reaches the limit is cut off there without a word; one byte more raises.
        request.stream.read(1)
    return body


def parse_json(text: bytes) -> Any:
    """Parse JSON strictly.

    Raises:
        ApiError: 400. Not JSON, not UTF-8, NaN or Infinity in it, or nested too deep.
    """
    try:
        return json.loads(text.decode(), parse_constant=_refuse_constant)
    except RecursionError:
        raise ApiError(400, "not_json", "The body is nested too deep. Send flatter JSON.") from None
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise ApiError(400, "not_json", f"The body is not JSON: {str(error)[:200]}. Send JSON in UTF-8.") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
