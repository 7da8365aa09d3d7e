"""Query: the parameters of a request, read strictly. Unknown parameters are ignored."""

from __future__ import annotations

import functools
from typing import TypeVar

import msgspec
from flask import Request

from .errors import ApiError
from .here import this_request

T = TypeVar("T", bound=msgspec.Struct)


def read(type: type[T], of: Request | None = None) -> T:
    """Return the query parameters of a request. If one is given twice, the first counts, unless it is a list.

    Args:
        type: A Struct; its fields are the parameters.
        of: Defaults to the current request.

    Raises:
        ApiError: 400: a parameter is invalid.
    """
    arguments = (of or this_request()).args
    given = {
        name: arguments.getlist(name) if is_list else arguments[name]
        for name, is_list in _fields(type)
        if name in arguments
    }
    try:
        return msgspec.convert(given, type, strict=False)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        name = where.rstrip("`")
        shown = str(given.get(name, ""))[:64]
        raise ApiError(
            400,
            "invalid_query",
            f"The query parameter {name}={shown!a} can't be used: {what}. Correct it, or leave it out.",
        ) from None


@functools.cache
def _fields(type: type[msgspec.Struct]) -> tuple[tuple[str, bool], ...]:
    """Return the parameters of a type, and whether each is a list."""
    described = msgspec.inspect.type_info(type)
    assert isinstance(described, msgspec.inspect.StructType)
    return tuple((field.name, _is_list(field.type)) for field in described.fields)


def _is_list(type: msgspec.inspect.Type) -> bool:
    return isinstance(type.type if isinstance(type, msgspec.inspect.Metadata) else type, msgspec.inspect.ListType)
