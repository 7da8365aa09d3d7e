"""Answers: a Struct as JSON."""

from __future__ import annotations

import msgspec
from flask import Response

_encode = msgspec.json.Encoder().encode


def as_json(answer: msgspec.Struct, status: int = 200) -> Response:
    """An answer with this as its body. ``msgspec.Raw`` in it is JSON text already, and put in as it is."""
    return Response(_encode(answer), status, content_type="application/json")
