"""The data of an event: JSON text, or raw text, which a browser gets as it is: HTML, for example.

The log holds raw text as a JSON string with a space before it. JSON allows the space, so every reader of JSON gets the
text, a worker of an older version too. Text that `encode_data` makes of other data never begins with a space, so the space
tells the two apart, and no broker has to know of them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from .errors import EventDataError

#: Converts a value that JSON can't hold into one that it can, or raises TypeError.
Default = Callable[[Any], Any]

_RAW = " "
_RAW_STRING = _RAW + '"'
_quote = json.encoder.encode_basestring


def encode_data(data: object, default: Default | None = None, *, raw: bool = False) -> str:
    """Turn data into JSON text. No other code encodes an event as JSON.

    Bytes, at any depth, become ``{"data": "<base64>", "encoding": "base64"}``. A text that says itself that it is HTML, such
    as Markup, becomes raw text.

    Args:
        default: Converts a value that JSON can't hold into one that it can, or raises TypeError: an app's
            ``app.json.default``. Not called for bytes.
        raw: Whether the data is raw text.

    Raises:
        EventDataError: JSON can't hold it (NaN, a set, a cycle, nested too deep), or it is raw and not text.
    """
    if raw or (isinstance(data, str) and hasattr(data, "__html__")):
        return _RAW + _quote(_raw_text(data))
    encode, encode_escaped = _encoders(default)
    try:
        text = encode(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise EventDataError(
            f"The data can't be written as JSON: {error}. Use dicts, lists, text, bytes, finite numbers, booleans, null, and "
            "what app.json can write."
        ) from error
    if not is_unicode(text):
        # Half a surrogate pair can't be UTF-8; as an escape it passes unchanged.
        return encode_escaped(data)
    return text


def is_raw(data: str) -> bool:
    """Tell whether the data of an event is raw text."""
    return data.startswith(_RAW_STRING)


def text_of(data: str) -> str:
    """Return what a browser gets of an event's data: the raw text, or else the JSON text."""
    return str(json.loads(data)) if data.startswith(_RAW_STRING) else data


def data_members(data: str) -> str:
    """Return the members of a JSON object that hold an event's data: ``"data"``, and after raw text ``"raw":true``."""
    return f'"data":{data[1:]},"raw":true' if data.startswith(_RAW_STRING) else f'"data":{data}'


def byte_length(text: str) -> int:
    """Return the length in UTF-8. Costs nothing for ASCII, and most JSON is ASCII."""
    return len(text) if text.isascii() else len(text.encode())


def is_unicode(text: str) -> bool:
    """Return False for text with half a surrogate pair, which UTF-8 can't carry."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _raw_text(data: object) -> str:
    html = getattr(data, "__html__", None)
    text = data if html is None else html()
    if not isinstance(text, str) or not is_unicode(text):
        raise EventDataError(
            f"Raw data of the type {type(text).__name__} is not text that UTF-8 can hold. Use str or Markup, or leave out raw."
        )
    return text


@lru_cache(maxsize=8)
def _encoders(default: Default | None) -> tuple[Callable[[object], str], Callable[[object], str]]:
    """Make an app's encoders, once: json.dumps makes an encoder for each call, a third of what a small event costs here."""

    def as_json(value: object) -> object:
        if isinstance(value, bytes | bytearray | memoryview):
            return {"data": base64.b64encode(value).decode(), "encoding": "base64"}
        if default is not None:
            return default(value)
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")

    form: dict[str, Any] = {"allow_nan": False, "separators": (",", ":"), "default": as_json}
    return _quick(json.JSONEncoder(ensure_ascii=False, **form)), json.JSONEncoder(**form).encode


def _quick(encoder: json.JSONEncoder) -> Callable[[object], str]:
    """Return `encoder.encode`, without the C encoder that it makes anew for each call: half of what a small event costs. This
    one keeps no list of the objects around a value, which shows a cycle, because two greenlets may encode the same object; a
    value that fails is encoded once more by ``encoder``, whose error says why."""
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # not CPython
        return encoder.encode
    quick = make(
        None,
        encoder.default,
        _quote,
        None,
        encoder.key_separator,
        encoder.item_separator,
        encoder.sort_keys,
        encoder.skipkeys,
        encoder.allow_nan,
    )

    def encode(value: object) -> str:
        try:
            return "".join(quick(value, 0))
        except (TypeError, ValueError, RecursionError):
            return encoder.encode(value)

    return encode
