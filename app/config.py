"""Environment to configuration: one table, read once, at start.

Every variable of the service begins with ``SIMULCAST_``: the service's own, which are here, and the extension's. So a name
that is in neither table is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from . import log
from .flask_simulcast import Settings, rows
from .identity.keys import MIN_SECRET_BYTES

_SECRET_EXAMPLE = "$(openssl rand -hex 32)"
_SOURCE = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_HOST = re.compile(r"\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:]*:[0-9a-f:.]*", re.ASCII)  # a name, or an IP address
_NO_KEY = re.compile(r"^@|[^!-~]")
_MAX_KEY_BYTES = 64 << 10
# Not settings: the token of a wukong's agent, which may be started in the same environment (docs/wukongs.md), and what
# Kubernetes gives every container beside a Service that is called "simulcast".
_OTHERS = re.compile(r"SIMULCAST_(AGENT_TOKEN|SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d+_.*)?)", re.ASCII)


def _secret(value: Any) -> str:
    text = rows.text(value)
    if text and len(text.encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"is shorter than {MIN_SECRET_BYTES} bytes")
    return text


def _hosts(value: Any) -> tuple[str, ...]:
    hosts = tuple(name.lower() for name in rows.names(value))
    for host in hosts:
        if _HOST.fullmatch(host) is None:
            raise ValueError(f"has {host!r}, which is not a host name: it must have no scheme, port, path or star")
    return hosts


def _level(value: Any) -> str:
    level = rows.text(value).lower()
    if level and level not in log.LEVELS:
        raise ValueError(f"is not one of {', '.join(log.LEVELS)}")
    return level


def _key(value: Any) -> str:
    """Return the key, or the one in the file that is named after an @."""
    key = rows.text(value)
    if key.startswith("@"):
        try:
            with open(key[1:], encoding="ascii", errors="replace") as file:
                key = file.read(_MAX_KEY_BYTES).strip()
        except OSError as error:
            raise ValueError(f"names a file that can't be read: {error.strerror}") from None
    if _NO_KEY.search(key):
        raise ValueError("has a character that no key has")
    return key


class Source(NamedTuple):
    """A list of usage that is polled."""

    name: str
    seconds: float
    url: str


def _sources(value: Any) -> tuple[Source, ...]:
    sources = tuple(one if isinstance(one, Source) else _source(one) for one in _items(value))
    if len({source.name for source in sources}) < len(sources):
        raise ValueError("names a source twice")
    return sources


def _items(value: Any) -> Iterable[Any]:
    return rows.names(value) if isinstance(value, str) else value


def _source(text: str) -> Source:
    words = text.split()
    if len(words) != 3 or _SOURCE.fullmatch(words[0]) is None or not words[2].startswith(("http://", "https://")):
        raise ValueError(
            "has a source that is not a name, the seconds between two polls, and an http URL"
        )  # which may have a secret
    return Source(words[0], rows.Number(1, 86_400)(words[1]), words[2])


TABLE = (
    rows.Row(
        "publish_key",
        _secret,
        "",
        "Password of at least 32 bytes that allows a client, which sends it as a bearer token, to publish, report, send"
        " to any user, kick, and listen to everything except what is sent to one user; it can't be revoked.",
        shelf=rows.Shelf.FIRST,
        example=_SECRET_EXAMPLE,
        show=rows.hidden,
    ),
    rows.Row(
        "jwt_key",
        _secret,
        "",
        "Secret of at least 32 bytes with which tokens are signed (HS256).",
        shelf=rows.Shelf.FIRST,
        example=_SECRET_EXAMPLE,
        show=rows.hidden,
    ),
    rows.Row(
        "trusted_hosts",
        _hosts,
        (),
        "Host names under which browsers reach the service, separated by commas, where .app.example includes all names "
        "below it; a request with any other Host gets 400.",
        shelf=rows.Shelf.FIRST,
        example="live.example,.app.example",
    ),
    rows.Row(
        "proxy_hops",
        rows.Integer(),
        0,
        "Number of proxies in front of the service, which are trusted to give a client's address, scheme, host and path"
        " prefix.",
        unit="proxies",
        shelf=rows.Shelf.FIRST,
    ),
    rows.Row(
        "max_body_bytes", rows.Integer(1), 4 << 20, "Largest body of a request.", unit="bytes", shelf=rows.Shelf.LIMITS
    ),
    rows.Row(
        "max_upload_bytes",
        rows.Integer(1),
        64 << 20,
        "Largest file of a task.",
        unit="bytes",
        shelf=rows.Shelf.LIMITS,
    ),
    rows.Row(
        "max_task_bytes",
        rows.Integer(1),
        1 << 30,
        "Space for the files and the results of all tasks of one machine; a task with a file is refused while it is used up.",
        unit="bytes",
        shelf=rows.Shelf.LIMITS,
    ),
    rows.Row(
        "max_batch_events",
        rows.Integer(1),
        1000,
        "Largest number of events of one publish request.",
        unit="events",
        shelf=rows.Shelf.LIMITS,
    ),
    rows.Row(
        "publish_rate",
        rows.Integer(),
        100,
        "Events per second that one user may publish, with ten seconds' worth at once; 0 for no limit.",
        unit="events/s",
        shelf=rows.Shelf.LIMITS,
        was=("publish_burst",),
    ),
    rows.Row(
        "publish_rate_per_address",
        rows.Integer(),
        0,
        "Events per second that all clients of one address (in IPv6 one /64 network) may publish, with ten seconds' "
        "worth at once; 0 for no limit.",
        unit="events/s",
        shelf=rows.Shelf.LIMITS,
    ),
    rows.Row(
        "read_rate",
        rows.Integer(),
        8 << 20,
        "Bytes per second of history, and of lists of members and listeners, that one user, or one address without a "
        "token, may read, with four seconds' worth at once; 0 for no limit.",
        unit="bytes/s",
        shelf=rows.Shelf.LIMITS,
    ),
    rows.Row(
        "chat_rate",
        rows.Integer(),
        1,
        "Messages per second that one person may send to one chat room, with ten seconds' worth at once; 0 for no "
        "limit, five times as many to all rooms together, ten times as many from one address.",
        unit="messages/s",
        shelf=rows.Shelf.LIMITS,
        was=("chat_burst",),
    ),
    rows.Row(
        "completions_tokens_per_minute",
        rows.Integer(),
        100_000,
        "Tokens of completions per minute of one user, or of one address without a token, a whole minute's worth at once; 0 for no "
        "limit.",
        unit="tokens/min",
        shelf=rows.Shelf.LIMITS,
    ),
    rows.Row(
        "max_wukongs",
        rows.Integer(1),
        10_000,
        "Largest number of wukongs that may report; a wukong that is silent for 30 days is removed.",
        unit="wukongs",
        shelf=rows.Shelf.LIMITS,
    ),
    rows.Row(
        "usage_days",
        rows.Integer(1, 3650),
        30,
        "Time for which records of usage are kept, and the longest that a client can ask for.",
        unit="days",
        shelf=rows.Shelf.LIMITS,
    ),
    rows.Row(
        "anonymous_channels",
        rows.patterns,
        (),
        "Channels that a client without a token may listen to, separated by commas: names, or prefixes that end in a star "
        "(wukong:*).",
        example="wukong:*,news",
    ),
    rows.Row(
        "jwt_public_key_file",
        rows.text,
        "",
        "File with the public key of the token issuer in PEM (RSA of at least 2048 bits for RS256, P-256 for ES256), or"
        " with several keys as a key set (JWKS); it needs the package cryptography.",
        was=("jwt_jwks_file",),
    ),
    rows.Row(
        "jwt_audience",
        rows.text,
        "",
        "Value that the aud of a token must contain; if not set, a token must have no aud.",
    ),
    rows.Row("jwt_issuer", rows.text, "", "Value that the iss of a token must have; if not set, iss is not checked."),
    rows.Row(
        "jwt_cookie",
        rows.matching(r"[A-Za-z0-9._-]*", "a cookie name"),  # what all browsers and servers agree on
        "",
        "Name of a cookie that may carry a token, too; if not set, no cookie is read.",
        example="simulcast_token",
    ),
    rows.Row(
        "database_url",
        rows.text,
        "sqlite:///service.db",
        "URL of the database that holds the service's own data; a relative SQLite path begins in the instance folder.",
        show=rows.hidden,
    ),
    rows.Row(
        "usage_sources",
        _sources,
        (),
        "Sources of usage that one worker polls, separated by commas: a name, the seconds between two polls, and the URL of a "
        "JSON list of records.",
        example="billing 60 https://billing.example/usage.json",
        show=rows.hidden,
    ),
    rows.Row(
        "wukong_stale_seconds",
        rows.Integer(1),
        15,
        "Time without a report after which a wukong counts as offline.",
        unit="s",
    ),
    rows.Row(
        "rpc",
        rows.boolean,
        False,
        "Whether programs may publish and listen by gRPC, gRPC-Web and Connect, too.",
    ),
    rows.Row(
        "chat_anonymous",
        rows.boolean,
        False,
        "Whether a client without a token may speak, under any name, in rooms that SIMULCAST_ANONYMOUS_CHANNELS opens "
        "(chat.*).",
    ),
    rows.Row(
        "notification_days",
        rows.Integer(1),
        30,
        "Time after which a notification that its user has read is deleted; unread ones stay.",
        unit="days",
    ),
    rows.Row(
        "completions_url",
        rows.matching(r"(https?://.+)?", "an http or https URL"),
        "",
        "Base of a server that speaks OpenAI's protocol and answers completions; if not set, echo answers.",
        example="http://127.0.0.1:11434/v1",
    ),
    rows.Row(
        "completions_key",
        _key,
        "",
        "Key that is sent to that server, or @ and the name of a file that has it.",
        example="@/run/secrets/completions_key",
        show=rows.hidden,
    ),
    rows.Row(
        "completions_anonymous",
        rows.boolean,
        False,
        "Whether a client without a token may ask for completions.",
    ),
    rows.Row(
        "completions_cancel_on_disconnect",
        rows.boolean,
        False,
        "Whether an answer is cancelled when the client that asked leaves, unless its question says otherwise.",
    ),
    rows.Row(
        "system_status",
        rows.boolean,
        False,
        "Whether every listener gets `system-status` (processor, memory, time) of each machine, every 5 seconds.",
    ),
    rows.Row(
        "tasks_folder",
        rows.text,
        "instance/tasks",
        "Folder for the files and the results of tasks.",
    ),
    rows.Row(
        "metrics_folder",
        rows.text,
        "instance/metrics",
        "Folder in which the workers of one machine share their metrics; it can be in memory, because each start begins with "
        "new files.",
    ),
    rows.Row(
        "rpc_reflection",
        rows.boolean,
        False,
        "Whether tools such as grpcurl may ask for the schemas of the calls of RPC.",
    ),
    rows.Row(
        "log_level",
        _level,
        "",
        "Log level of the service: debug, info, warning, error or critical; by default gunicorn's (LOG_LEVEL).",
        example="info",
    ),
)

#: The keys of these settings in ``app.config``.
KEYS = frozenset(row.key for row in TABLE)


def read(environment: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Make the configuration that this environment asks for. The extension reads its own keys from it.

    Args:
        overrides: What tests and other callers set; it goes before the environment.

    Raises:
        SettingError: A value can't be used, or a SIMULCAST_ key is not known.
    """
    ours = {
        key: value for key, value in environment.items() if key.startswith(rows.PREFIX) and not _OTHERS.fullmatch(key)
    }
    config: dict[str, Any] = {**ours, **(overrides or {})}
    everything = (*TABLE, *Settings.rows())
    for key in sorted(config.keys() - {row.key for row in everything}):
        if key.startswith(rows.PREFIX):
            raise rows.unknown(key, everything)
    for row in TABLE:
        given = config.get(row.key)
        config[row.key] = row.value(row.default if given is None else given)
    config["MAX_CONTENT_LENGTH"] = config["SIMULCAST_MAX_BODY_BYTES"]
    config["SQLALCHEMY_DATABASE_URI"] = config["SIMULCAST_DATABASE_URL"]
    return config
