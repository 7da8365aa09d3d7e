"""Environment to configuration: one table, read once, at start."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .flask_simulcast import SettingError, Settings

PREFIX = "SIMULCAST_"
_MIN_KEY_CHARACTERS = 32


class Row(NamedTuple):
    """A setting of the service: name without the prefix, type, default, unit, and what it does."""

    name: str
    type: Callable[[Any], Any]
    default: Any
    unit: str
    help: str


def _patterns(value: Any) -> list[str]:
    names = value.split(",") if isinstance(value, str) else list(value)
    patterns = [name.strip() for name in names if name.strip()]
    if any("*" in pattern[:-1] for pattern in patterns):
        raise ValueError("a star may stand at the end only")
    return patterns


def _key(value: Any) -> str:
    text = str(value)
    if text and len(text) < _MIN_KEY_CHARACTERS:
        raise ValueError(f"shorter than {_MIN_KEY_CHARACTERS} characters")
    return text


def _positive(value: Any) -> int:
    number = int(value)
    if number < 1:
        raise ValueError("not above 0")
    return number


def _natural(value: Any) -> int:
    number = int(value)
    if number < 0:
        raise ValueError("below 0")
    return number


TABLE = (
    Row("publish_key", _key, "", "characters", "Whoever sends it as a bearer token may publish, report, and listen to all. At least 32. Without it, publishing is closed."),
    Row("anonymous_channels", _patterns, [], "", "Channels that anyone may listen to, with commas between them; a star at the end stands for any ending: wukong:*"),
    Row("database_url", str, "sqlite:///service.db", "", "Where the service keeps its own data; a relative SQLite file is in the instance folder."),
    Row("max_body_bytes", _positive, 4 << 20, "bytes", "Largest body of a request."),
    Row("max_batch_events", _positive, 1000, "events", "Most events of one publish request."),
    Row("wukong_stale_seconds", _positive, 15, "s", "A wukong that has not reported for so long is offline."),
    Row("proxy_hops", _natural, 0, "proxies", "How many proxies in front may be believed about a client's address."),
)  # fmt: skip

_EXAMPLES = {"publish_key": "$(openssl rand -hex 32)", "anonymous_channels": "wukong:*,news"}


def read(environment: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The configuration that this environment asks for. Keys of the extension are handed on; it checks them itself.

    Args:
        overrides: What tests and other callers set; it goes before the environment.

    Raises:
        SettingError: A value can't be used, or a SIMULCAST_ key is not known.
    """
    given: dict[str, Any] = {k: v for k, v in environment.items() if k.startswith(PREFIX)} | dict(overrides or {})
    config = {k: v for k, v in given.items() if not k.startswith(PREFIX)}
    extension_keys = {PREFIX + field.name.upper() for field in dataclasses.fields(Settings)}
    for row in TABLE:
        config[PREFIX + row.name.upper()] = _value(row, given.pop(PREFIX + row.name.upper(), row.default))
    for key, value in given.items():
        if key in extension_keys:
            config[key] = _mapping(key, value)
        elif key.startswith(PREFIX):
            raise _unknown(key, sorted(extension_keys | set(config)))
    config["MAX_CONTENT_LENGTH"] = config["SIMULCAST_MAX_BODY_BYTES"]
    config["SQLALCHEMY_DATABASE_URI"] = config["SIMULCAST_DATABASE_URL"]
    return config


def _value(row: Row, value: Any) -> Any:
    try:
        return row.type(value)
    except (TypeError, ValueError) as error:
        key = PREFIX + row.name.upper()
        shown = "(not shown)" if row.name == "publish_key" else repr(value)
        example = _EXAMPLES.get(row.name, row.default)
        raise SettingError(f"{key}={shown} can't be used: {error}. Use for example {key}={example}.") from error


def _mapping(key: str, value: Any) -> Any:
    """The one setting that is a mapping is JSON in the environment."""
    if key != "SIMULCAST_HISTORY_CHANNELS" or not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise SettingError(f'{key}={value!r} is not JSON. Use for example {key}={{"chat:": [200, 86400]}}.') from error


def _unknown(key: str, known: list[str]) -> SettingError:
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else "docs/settings.md lists them all."
    return SettingError(f"{key} is not a setting. {hint}")
