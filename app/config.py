"""Environment to configuration: one table, read once, at start."""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from . import log
from .flask_simulcast import SettingError, Settings
from .identity.keys import MIN_SECRET_BYTES

PREFIX = "SIMULCAST_"
_COOKIE = re.compile(r"[A-Za-z0-9._-]*", re.ASCII)  # what all browsers and servers agree on
_HOST = re.compile(r"\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:]*:[0-9a-f:.]*", re.ASCII)  # a name, or an IP address
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")
_SECRETS = ("publish_key", "jwt_key")
# For the agent of a wukong, which may be started in the same environment; docs/wukongs.md.
_OF_OTHERS = ("SIMULCAST_AGENT_TOKEN",)


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
    if text and len(text.encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"shorter than {MIN_SECRET_BYTES} bytes")
    return text


def _cookie(value: Any) -> str:
    text = str(value)
    if _COOKIE.fullmatch(text) is None:
        raise ValueError("no name of a cookie")
    return text


def _hosts(value: Any) -> list[str]:
    names = value.split(",") if isinstance(value, str) else list(value)
    hosts = [name.strip().lower() for name in names if name.strip()]
    for host in hosts:
        if _HOST.fullmatch(host) is None:
            raise ValueError(f"{host!r} is not a host name: no scheme, no port, no path, no star")
    return hosts


def _level(value: Any) -> str:
    text = str(value).lower()
    if text and text not in log.LEVELS:
        raise ValueError("no level")
    return text


def _positive(value: Any) -> int:
    number = int(value)
    if number < 1:
        raise ValueError("not above 0")
    return number


def _flag(value: Any) -> bool:
    text = str(value).lower()
    if text not in _TRUE + _FALSE:
        raise ValueError("neither true nor false")
    return text in _TRUE


def _natural(value: Any) -> int:
    number = int(value)
    if number < 0:
        raise ValueError("below 0")
    return number


TABLE = (
    Row("publish_key", _key, "", "", "A password of at least 32 bytes. A client that sends it as a bearer token may publish, report, send to anyone, kick, and listen to everything except what is sent to one user. It can't be revoked."),
    Row("jwt_key", _key, "", "", "Secret of at least 32 bytes with which tokens are signed (HS256)."),
    Row("jwt_public_key_file", str, "", "", "PEM file with the public key of the token issuer: RSA of at least 2048 bits (RS256), or P-256 (ES256). Needs the package cryptography. Read at start."),
    Row("jwt_jwks_file", str, "", "", "The same as a key set (JWKS): tokens name their key by kid. Instead of the PEM file."),
    Row("jwt_audience", str, "", "", "What a token's aud must hold. Without it, a token must have none."),
    Row("jwt_issuer", str, "", "", "What a token's iss must be. Without it, it is not looked at."),
    Row("jwt_cookie", _cookie, "", "", "Name of a cookie that carries a token, too. Without it, none does."),
    Row("anonymous_channels", _patterns, [], "", "Channels that anyone may listen to, with commas between them; a star at the end stands for any ending: wukong:*"),
    Row("database_url", str, "sqlite:///service.db", "", "Where the service keeps its own data; a relative SQLite file is in the instance folder."),
    Row("max_body_bytes", _positive, 4 << 20, "bytes", "Largest body of a request."),
    Row("max_batch_events", _positive, 1000, "events", "Most events of one publish request."),
    Row("publish_rate", _natural, 100, "events/s", "How much one user may publish, in each worker; 0 for no bound. The publish key has none."),
    Row("publish_burst", _positive, 1000, "events", "How much of that may come at once, after a pause."),
    Row("publish_rate_per_address", _natural, 0, "events/s", "How much one address may publish, in each worker; 0 for no limit. For IPv6 the network (/64) counts as the address."),
    Row("ticket_rate", _natural, 10, "tickets/s", "How many tickets one user may get, in each worker, and ten seconds' worth at once; 0 for no limit."),
    Row("read_rate", _natural, 8 << 20, "bytes/s", "How much history and how many lists of members and listeners one user may read, in each worker, and four seconds' worth at once; 0 for no limit. Clients without a token are counted by address. The publish key has no limit."),
    Row("wukong_stale_seconds", _positive, 15, "s", "A wukong that has not reported for this time is offline."),
    Row("max_wukongs", _positive, 10_000, "wukongs", "How many wukongs may report. The service's database keeps the last status of each, up to SIMULCAST_MAX_EVENT_BYTES. A wukong that is silent for 30 days is removed."),
    Row("chat_anonymous", _flag, False, "", "Whether a client without a token may speak, under any name, in rooms that SIMULCAST_ANONYMOUS_CHANNELS opens (chat.*)."),
    Row("chat_rate", _natural, 1, "messages/s", "How much one person may say in one room, in each worker, and five times as much in all rooms together; 0 for no limit. One address may say ten times as much."),
    Row("chat_burst", _positive, 10, "messages", "How much of that may come at once, after a pause."),
    Row("metrics_folder", str, "instance/metrics", "", "Folder in which the workers of one machine share their figures. A folder in memory is enough: each start begins with new files."),
    Row("log_level", _level, "", "", "Log level of the service: debug, info, warning or error. The default is gunicorn's (LOG_LEVEL)."),
    Row("proxy_hops", _natural, 0, "proxies", "Number of proxies in front whose word on a client's address, scheme, host and path prefix is trusted."),
    Row("trusted_hosts", _hosts, [], "", "Names under which browsers reach this service, separated by commas. A name that begins with a dot includes all names below it. A request with any other Host gets 400. If this is not set, every Host is served, except a name with a dot on a loopback address without a proxy in front."),
)  # fmt: skip

#: The keys of these settings in ``app.config``.
KEYS = frozenset(PREFIX + row.name.upper() for row in TABLE)

_EXAMPLES = {
    "publish_key": "$(openssl rand -hex 32)",
    "jwt_key": "$(openssl rand -hex 32)",
    "jwt_cookie": "simulcast_token",
    "anonymous_channels": "wukong:*,news",
    "log_level": "info",
    "trusted_hosts": "live.example,.app.example",
}


def read(environment: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The configuration that this environment asks for. Keys of the extension are handed on; it checks them itself.

    Args:
        overrides: What tests and other callers set; it goes before the environment.

    Raises:
        SettingError: A value can't be used, or a SIMULCAST_ key is not known.
    """
    given: dict[str, Any] = {k: v for k, v in environment.items() if k.startswith(PREFIX) and k not in _OF_OTHERS}
    given |= dict(overrides or {})
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
        shown = "(not shown)" if row.name in _SECRETS else repr(value)
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
