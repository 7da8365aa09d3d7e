"""What a body says, parsed strictly. `bodies.read` has it read.

Of a large body only the outline is parsed at once, in C; the data of each event is parsed by itself, after its size was
looked at: 4 MB of numbers take Python 0.7 s, in which the worker does nothing else.
"""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import msgspec

from .errors import ApiError

T = TypeVar("T")

JSON = "application/json"
NDJSON = "application/x-ndjson"
Content = Mapping[str, Any]
"""Media types, each with the type of what it carries: what msgspec can make a schema of."""

# Python's own parser says where a text is wrong, and takes half a surrogate pair, but builds all of it: 10 ms for that size.
MOST_BYTES_SLOWLY = 256 << 10


@dataclass(frozen=True, kw_only=True)
class Body:
    """What a route reads.

    Attributes:
        content: Told in the OpenAPI document.
        most_bytes: Returns the size of the largest body that the route can use; None where the limit of all bodies will do.
        parse: Turns a body into what the view gets; raises an `ApiError` where it can't.
        is_optional: Whether it may be left out.
    """

    content: Content
    most_bytes: Callable[[], int | None]
    parse: Callable[[bytes], Any]
    is_optional: bool = False


def of_struct(type: type[Any], *, most_bytes: int, code: str, hint: str, is_optional: bool = False) -> Body:
    """Return the body of a route that takes JSON of one type.

    Args:
        type: A Struct. An optional body that is left out is one without fields.
        code: Of the error for JSON of another type.
        hint: What to do then.
    """
    decoder = msgspec.json.Decoder(type)

    def parsed(text: bytes) -> Any:
        try:
            return parse(text or b"{}" if is_optional else text, decoder)
        except msgspec.ValidationError as error:
            raise ApiError(400, code, f"{str(error)[:200]}. {hint}") from None

    return Body(content={JSON: type}, most_bytes=lambda: most_bytes, parse=parsed, is_optional=is_optional)


def parse_json(text: bytes) -> Any:
    """Parse JSON strictly.

    Raises:
        ApiError: 400. Not JSON, not UTF-8, NaN or Infinity in it, or nested too deep.
    """
    try:
        return json.loads(text.removeprefix(BOM_UTF8).decode(), parse_constant=_refuse_constant)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise ApiError(400, "not_json", f"The body is not JSON: {str(error)[:200]}. Send JSON in UTF-8.") from None


def parse(text: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Parse JSON of a type.

    Raises:
        ApiError: As `parse_json`.
        msgspec.ValidationError: It is JSON, of another type.
    """
    text = text.removeprefix(BOM_UTF8)  # RFC 8259, 8.1: may be ignored
    try:
        return decoder.decode(text)
    except msgspec.ValidationError:
        raise
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if len(text) > MOST_BYTES_SLOWLY:
            raise not_json(error) from None
        # Python's own parser says where it is wrong, and takes the one thing that msgspec does not: an escaped half of a
        # surrogate pair, which a browser writes when text was cut in the middle of an emoji.
        value = parse_json(text)
        try:
            return msgspec.convert(value, decoder.type)
        except UnicodeEncodeError:
            raise msgspec.ValidationError("Object contains a field whose name is half a surrogate pair") from None


def not_json(error: Exception) -> ApiError:
    """What is said of a text that is too large for the parser that says where it is wrong."""
    return ApiError(
        400,
        "not_json",
        f"The body is not JSON: {str(error)[:200]}. Send JSON in UTF-8, without halves of surrogate pairs.",
    )


def _too_deep() -> ApiError:
    return ApiError(400, "not_json", "The body is nested too deep. Send flatter JSON.")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
