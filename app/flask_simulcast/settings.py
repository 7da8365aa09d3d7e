"""The SIMULCAST_* settings: one table, read once and checked at start.

`docs/settings.md` is written from this table (`scripts/settings-table`); a test compares the two.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, NamedTuple

from . import url
from .errors import SettingError

PREFIX = "SIMULCAST_"
_NAMES = "tuple[str, ...]"
_NAMES_EXAMPLES = {"presence_channels": "chat.*,room:*", "allowed_origins": "https://app.example,http://localhost:3000"}
# Of one address. A school or an office is one address, and so is a proxy that the app was not told of: less than half of the
# places would turn such a site's own people away. With a handful of places there is nothing to share out.
_HALF = -1
_FEW_LISTENERS = 16
_ORIGIN = re.compile(r"https?://[^/\s*?#@]+", re.ASCII)


class Retention(NamedTuple):
    """How much of a channel is kept, at least this many events that are at most this old, and how many of them a new
    listener is given unasked."""

    events: int
    seconds: float
    replay: int = 0


def setting(default: Any, help: str, *, unit: str = "", minimum: float = 0, maximum: float = 1 << 40) -> Any:
    """A row of the table: default, unit, bounds, and what it does."""
    return field(default=default, metadata={"help": help, "unit": unit, "minimum": minimum, "maximum": maximum})


@dataclass(frozen=True, repr=False)
class Settings:
    """Every setting of the extension. The key in ``app.config`` is ``SIMULCAST_`` and the name in capitals.

    Its ``repr`` shows no password of ``broker_url``.
    """

    broker_url: str = setting(
        "sqlite:///simulcast.db",
        "Where the log is: sqlite:///<path> (relative to the app's instance folder; four slashes for an absolute path), "
        "redis://[user:password@]host[:port][/db] (rediss:// with TLS, unix://<path>, sentinel://host[:port],host[:port]/service), "
        "or memory://",
    )
    history_events: int = setting(1000, "Events kept per channel; at least these many stay.", unit="events")
    history_seconds: float = setting(3600, "Age up to which events are kept.", unit="s", maximum=10 * 366 * 86400)
    history_channels: Mapping[str, Any] = setting(
        (),
        'Other bounds for channels that begin with a prefix, as {"prefix": [events, seconds]} or, with what a new listener '
        "is given unasked, [events, seconds, replay]; the longest prefix wins.",
    )
    replay_events: int = setting(
        0, "How many of the newest events a new listener is given unasked.", unit="events", maximum=100_000
    )
    history_bytes: int = setting(
        512 << 20, "Size of the log on disk; the oldest events go first.", unit="bytes", minimum=1 << 20
    )
    max_event_bytes: int = setting(
        64 << 10, "Largest encoded data of one event.", unit="bytes", minimum=1, maximum=16 << 20
    )
    listener_queue_bytes: int = setting(
        64 << 10,
        "What waits for one slow listener before it falls back to reading history at its own pace.",
        unit="bytes",
        minimum=1024,
        maximum=64 << 20,
    )
    page_bytes: int = setting(
        64 << 10, "One page of history, and one chunk of a response.", unit="bytes", minimum=1024, maximum=64 << 20
    )
    ring_events: int = setting(
        10_000, "The newest events that a worker keeps in memory for listeners about to go live.", unit="events"
    )
    ring_bytes: int = setting(4 << 20, "The same, in bytes of data.", unit="bytes")
    heartbeat_seconds: float = setting(
        15, "A listener that was sent nothing for so long gets a heartbeat.", unit="s", minimum=0.1, maximum=3600
    )
    stall_seconds: float = setting(
        60, "A listener that does not take one chunk in this time is closed.", unit="s", minimum=1, maximum=86400
    )
    retry_ms: int = setting(
        2000, "How long an EventSource waits before it reconnects.", unit="ms", minimum=1, maximum=3_600_000
    )
    eventsource_refusals: int = setting(
        1,
        "1: a native EventSource, whose page can read no status, is told a 401 or 403 as 200 with `closed`, and 204 when it "
        "comes back. 0: it gets the status, as every other client does.",
        maximum=1,
    )
    max_listeners: int = setting(
        3600,
        "Listeners of one worker. Keep it below gunicorn's worker_connections, so that health checks get through.",
        minimum=1,
    )
    max_listeners_per_user: int = setting(
        100, "Listeners of one user in one worker; 0 for no bound.", maximum=1_000_000
    )
    max_listeners_per_address: int = setting(
        _HALF,
        "Listeners of one address in one worker, and WebSockets of one; an IPv6 network (/64) counts as one address. -1: half of "
        "SIMULCAST_MAX_LISTENERS, but at least 16, so that one address can't take every place; 0: no bound. Behind a proxy the app "
        "must know its hop count, or all clients have the proxy's address.",
        minimum=_HALF,
        maximum=1_000_000,
    )
    max_channels_per_listener: int = setting(32, "Channels that one listener may name.", minimum=1, maximum=10_000)
    presence_channels: tuple[str, ...] = setting(
        (),
        "Channels whose listeners are told of each other: names, or beginnings with a star, with commas between them.",
    )
    presence_lease_seconds: float = setting(
        8,
        "The listeners of a worker that was killed or is frozen leave after so long.",
        unit="s",
        minimum=1,
        maximum=60,
    )
    presence_grace_seconds: float = setting(
        3, "Who is back so soon, after a reload of the page say, has not left.", unit="s", maximum=60
    )
    max_grant_seconds: float = setting(
        86400,
        "Longest time for which a token may hold. A revocation is remembered for so long.",
        unit="s",
        minimum=60,
        maximum=366 * 86400,
    )
    allowed_origins: tuple[str, ...] = setting(
        (),
        "Origins besides the app's own from which a browser may listen and publish, with commas between them: "
        "https://app.example. A lone star is any origin, without cookies.",
    )
    websocket_message_bytes: int = setting(
        128 << 10,
        "Largest message that a WebSocket client may send: an event, and what is around it.",
        unit="bytes",
        minimum=126,
        maximum=1 << 30,
    )
    websocket_fragments: int = setting(
        1024, "Frames in which a WebSocket client may send one message.", minimum=1, maximum=1 << 20
    )
    websocket_messages_per_second: int = setting(
        100, "Messages that a WebSocket client may send, over time; twice as many at once; 0 for no bound.", unit="1/s"
    )
    websocket_frames_per_second: int = setting(1000, "The same for frames of any kind: fragments, pings.", unit="1/s")
    websocket_queue_bytes: int = setting(
        64 << 10,
        "What waits for the handler of a WebSocket, and what waits for its client, before the sender has to wait.",
        unit="bytes",
        minimum=1024,
        maximum=64 << 20,
    )
    websocket_compression: int = setting(
        0,
        "1: permessage-deflate with WebSocket clients that offer it. What is compressed costs time on both sides, and can tell "
        "an onlooker by its length what is in it.",
        maximum=1,
    )
    drain_seconds: float = setting(
        1, "How long a stopping worker waits for its streams to take their goodbye.", unit="s", minimum=0, maximum=60
    )
    append_seconds: float = setting(
        5, "How long a publish waits for its turn at the log.", unit="s", minimum=0.01, maximum=60
    )
    sqlite_commit: str = setting(
        "inline",
        'SQLite only. "inline": commit where the publisher stands when its turn is free, else in a thread. '
        '"thread": always in a thread; costs two to five times the time, and a hung disk stops nothing but publishing.',
    )

    redis_prefix: str = setting(
        "simulcast", "Redis only. What all keys begin with, in braces: apps that share a Redis have one each."
    )
    redis_seconds: float = setting(
        2,
        "Redis only. How long connecting may take, and an answer; after that a publish fails.",
        unit="s",
        minimum=0.1,
        maximum=60,
    )

    def __post_init__(self) -> None:
        for row in fields(self):
            value = getattr(self, row.name)
            if isinstance(row.default, int | float):
                _check_number(row.name, value, row.metadata["minimum"], row.metadata["maximum"], row.default)
            elif isinstance(row.default, str) and not isinstance(value, str):
                raise _wrong(row.name, value, "is not text", row.default)
            elif isinstance(row.default, tuple) and row.type == _NAMES and not _are_names(value):
                raise _wrong(row.name, value, "is not a list of names", _NAMES_EXAMPLES[row.name])
        for pattern in self.presence_channels:
            if "*" in pattern[:-1]:
                raise _wrong("presence_channels", pattern, "has a star before its end", "chat.*,room:*")
        for origin in self.allowed_origins:
            if origin != "*" and _ORIGIN.fullmatch(origin) is None:
                raise _wrong("allowed_origins", origin, "is not an origin", _NAMES_EXAMPLES["allowed_origins"])
        if self.sqlite_commit not in ("inline", "thread"):
            raise _wrong("sqlite_commit", self.sqlite_commit, 'is neither "inline" nor "thread"', "inline")
        if not re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", self.redis_prefix, re.ASCII):
            raise _wrong(
                "redis_prefix", self.redis_prefix, "is not 1 to 64 characters of A-Z a-z 0-9 . _ : -", "simulcast"
            )
        if self.max_listeners_per_address == _HALF:
            object.__setattr__(self, "max_listeners_per_address", max(self.max_listeners // 2, _FEW_LISTENERS))
        self._prefixes  # noqa: B018 - a wrong mapping must stop the start

    def __repr__(self) -> str:
        rows = [f"{row.name}={_shown(row.name, getattr(self, row.name))}" for row in fields(self)]
        return f"Settings({', '.join(rows)})"

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """Read the SIMULCAST_* keys of a Flask config. Text is converted; keys of others are left alone.

        Raises:
            SettingError: A value can't be used. Names the key, the value and an example.
        """
        values = {}
        for row in fields(cls):
            value = config.get(PREFIX + row.name.upper())
            if value is not None:
                values[row.name] = _converted(row.name, value, row.default)
        return cls(**values)

    def retention(self, channel: str) -> Retention:
        """How much of this channel is kept."""
        for prefix, retention in self._prefixes:
            if channel.startswith(prefix):
                return retention
        return Retention(self.history_events, self.history_seconds, self.replay_events)

    @property
    def has_memory_log(self) -> bool:
        """Whether no other process sees what this one publishes."""
        return self.broker_url.startswith("memory:")

    @property
    def longest_history_seconds(self) -> float:
        """The greatest age that any channel's history may have."""
        return max([self.history_seconds, *(retention.seconds for _, retention in self._prefixes)])

    @property
    def most_history_bytes(self) -> int:
        """The hard bound of the log's file. It leaves room for what trimming, which runs behind, has not taken away yet."""
        return self.history_bytes * 2

    @cached_property
    def _prefixes(self) -> list[tuple[str, Retention]]:
        return _retentions(self.history_channels)


def misspelt(config: Mapping[str, Any], own: Collection[str] = ()) -> dict[str, str]:
    """Keys of a Flask config that are no settings but look like one, each with the one that it is nearest to. A key that
    resembles none is the app's.

    Args:
        own: SIMULCAST_* keys that are the app's, too.
    """
    known = [PREFIX + row.name.upper() for row in fields(Settings)]
    unknown = [key for key in config if str(key).startswith(PREFIX) and key not in known and key not in own]
    names = [key.removeprefix(PREFIX) for key in known]  # alone: what all begin with would make all alike
    nearest = {key: difflib.get_close_matches(key.removeprefix(PREFIX).upper(), names, n=1) for key in unknown}
    return {key: PREFIX + names[0] for key, names in nearest.items() if names}


def _retentions(value: Any) -> list[tuple[str, Retention]]:
    """The prefixes, longest first."""
    example = '{"chat:": [200, 86400]}'
    rows = []
    try:
        for prefix, (events, seconds, *replay) in dict(value).items():
            rows.append((str(prefix), Retention(int(events), float(seconds), *map(int, replay))))
    except (TypeError, ValueError, OverflowError) as error:
        raise _wrong(
            "history_channels", value, "does not map prefixes to [events, seconds, replay]", example
        ) from error
    if any(r.events < 0 or r.replay < 0 or not 0 <= r.seconds <= 10 * 366 * 86400 for _, r in rows):
        raise _wrong("history_channels", value, "has a negative or too large bound", example)
    return sorted(rows, key=lambda row: len(row[0]), reverse=True)


def names(value: Any) -> tuple[str, ...]:
    """A list of names, or text with commas between them."""
    given = value.split(",") if isinstance(value, str) else value
    return tuple(name.strip() for name in given if name.strip())


def _are_names(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(name, str) for name in value)


def _converted(name: str, value: Any, default: Any) -> Any:
    if name in _NAMES_EXAMPLES:
        try:
            return names(value)
        except (TypeError, AttributeError) as error:
            raise _wrong(name, value, "is not a list of names", _NAMES_EXAMPLES[name]) from error
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, str) or not isinstance(default, int | float):
        return value
    try:
        return type(default)(value) if isinstance(default, float) else _number(value)
    except ValueError as error:
        raise _wrong(name, value, "is not a number", default) from error


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        number = float(text)
        return int(number) if number.is_integer() else number


def _check_number(name: str, value: Any, minimum: float, maximum: float, example: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, value, "is not a number", example)
    if not name.endswith("_seconds") and value not in (float("inf"), float("-inf")) and value % 1:
        raise _wrong(name, value, "is not a whole number", example)
    if not minimum <= value <= maximum:
        raise _wrong(name, value, f"is not between {minimum:g} and {maximum:g}", example)


def _wrong(name: str, value: Any, what: str, example: Any) -> SettingError:
    key = f"{PREFIX}{name.upper()}"
    return SettingError(f"{key}={_shown(name, value)} {what}. Use for example {key}={example}.")


def _shown(name: str, value: Any) -> str:
    return url.shown(value) if name == "broker_url" else repr(value)
