"""Body: the strict parsers of request bodies. `bodies.read` reads them.

Only the outline of a large body is parsed at once, in C. The data of each event is parsed separately, after a check of its
size: 4 MB of numbers take Python 0.7 s, in which the worker does nothing else.
"""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn, TypeVar

import msgspec
from werkzeug.http import parse_options_header

from . import bodies
from .errors import ApiError

T = TypeVar("T")

JSON = "application/json"
NDJSON = "application/x-ndjson"
#: All that names lines of JSON, one value each.
LINES = frozenset(
    {
        NDJSON,
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonl",
        "application/jsonlines",
        "application/x-jsonlines",
    }
)
Content = Mapping[str, Any]
"""Media types, each with the type of its content, which msgspec can make a schema of."""

# Python's own parser says where a text is wrong, and accepts half a surrogate pair, but builds all values: 10 ms at this size.
MOST_BYTES_SLOWLY = 256 << 10
_MAX_KNOWN = 64  # values of Content-Type whose type is remembered


@lru_cache(_MAX_KNOWN)
def media_type(header: str) -> str:
    """Return the media type in a Content-Type, without parameters. Werkzeug's `Request.mimetype` parses it for each request."""
    return parse_options_header(header)[0].lower()


@dataclass(frozen=True, kw_only=True)
class Body:
    """The body that a route reads.

    Attributes:
        content: Its media types, for the OpenAPI document.
        most_bytes: Returns the size of the largest body that the route can use; None for the limit of all bodies.
        parse: Turns a body into the view's argument, or raises an `ApiError`.
        is_optional: Whether it may be left out.
    """

    content: Content
    most_bytes: Callable[[], int | None]
    parse: Callable[[bytes], Any]
    is_optional: bool = False

    def receive(self) -> Any:
        """Read and parse the body of the current request. Switches. Raises as `bodies.read` and `parse`."""
        return self.parse(bodies.read(self.most_bytes()))


def of_struct(type: Any, *, most_bytes: int, code: str, hint: str, is_optional: bool = False) -> Body:
    """Return the body of a route that takes JSON of one type.

    Args:
        type: A Struct, or a union of them. A missing optional body counts as an object without fields.
        code: Code of the error for JSON of another type.
        hint: Second sentence of that error: what to do.
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
        ApiError: 400: the body is not JSON or not UTF-8, has NaN or Infinity in it, or is nested too deep.
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
        # Python's own parser says where it is wrong, and accepts the one thing that msgspec does not: an escaped half of a
        # surrogate pair, which a browser writes if a text was cut in the middle of an emoji.
        value: T = convert(parse_json(text), decoder.type)
        return value


def with_room(call: Callable[[], T], frames: int = 200) -> T:
    """Call a function this number of frames deeper, so that JSON which it can parse is not too deep for later readers, whose
    stacks might be deeper than this one."""
    return with_room(call, frames - 1) if frames else call()


def convert(value: Any, type: Any) -> Any:
    """Make a value of a type from JSON that was parsed.

    Raises:
        msgspec.ValidationError: It is of another type.
    """
    try:
        return msgspec.convert(value, type)
    except UnicodeEncodeError:
        raise msgspec.ValidationError("Object contains a field whose name is half a surrogate pair") from None


def not_json(error: Exception) -> ApiError:
    """Return the error for a text that is too large for the parser that says where it is wrong."""
    return ApiError(
        400,
        "not_json",
        f"The body is not JSON: {str(error)[:200]}. Send JSON in UTF-8, without halves of surrogate pairs.",
    )


def _too_deep() -> ApiError:
    return ApiError(400, "not_json", "The body is nested too deep. Send flatter JSON.")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
