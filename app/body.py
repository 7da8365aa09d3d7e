"""What a body says, parsed strictly. `bodies.read` has it read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import msgspec

from .errors import ApiError

T = TypeVar("T")


def parse_json(text: bytes) -> Any:
    """Parse JSON strictly.

    Raises:
        ApiError: 400. Not JSON, not UTF-8, NaN or Infinity in it, or nested too deep.
    """
    try:
        return json.loads(text.decode(), parse_constant=_refuse_constant)
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
    return _parse(text, decoder.decode, parse_json, decoder.type)


def parse_lines(text: bytes, decoder: msgspec.json.Decoder[T]) -> list[T]:
    """Parse JSON of a type, one a line.

    Raises:
        ApiError, msgspec.ValidationError: As `parse`.
    """
    return _parse(text, decoder.decode_lines, _parse_json_lines, list[decoder.type])  # type: ignore[name-defined]


def _parse(text: bytes, decode: Callable[[bytes], T], parse_slowly: Callable[[bytes], Any], type: Any) -> T:
    try:
        return decode(text)
    except msgspec.ValidationError:
        raise
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Python's own parser says where it is wrong, and takes the one thing that msgspec does not: an escaped half of a
        # surrogate pair, which a browser writes when text was cut in the middle of an emoji.
        values = parse_slowly(text)
        try:
            return msgspec.convert(values, type)  # type: ignore[no-any-return]
        except UnicodeEncodeError:
            raise msgspec.ValidationError("Object contains a field whose name is half a surrogate pair") from None


def _parse_json_lines(text: bytes) -> list[Any]:
    return [parse_json(line) for line in text.split(b"\n") if line.strip()]


def _too_deep() -> ApiError:
    return ApiError(400, "not_json", "The body is nested too deep. Send flatter JSON.")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
