"""The extension's settings: one table, read once and checked at start.

The settings page of the documentation is written from this table; a test compares the two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

from . import url
from .event import RUN_PREFIX
from .rows import PREFIX, Integer, Number, Row, Shelf, boolean, matching, names, nearest, patterns, text

# One address gets half of a worker's listeners by default. A school or an office has one address, and all clients of a proxy
# that the app does not know of have one, so a smaller part would refuse too many of them. Few listeners are not worth sharing.
_HALF = -1
_FEW_LISTENERS = 16
_ORIGIN = re.compile(r"https?://[^/\s*?#@]+", re.ASCII)
_MAX_HISTORY_SECONDS = 10 * 366 * 86400

#: What to do where a log in memory can't be shared. The path begins in the app's instance folder, as that of the default does.
INSTEAD_OF_MEMORY = "Use SIMULCAST_BROKER_URL=sqlite:///simulcast.db, or one worker."


class Retention(NamedTuple):
    """How much of a channel is kept: its newest events, up to this number and up to this age. A new listener receives the
    newest ``replay`` of them first."""

    events: int
    seconds: float
    replay: int = 0


#: Of the channels of runs, unless ``history_channels`` has a prefix for them.
_OF_RUNS = Retention(10_000, 3600)


def setting(read: Callable[[Any], Any], default: Any, help: str, **others: Any) -> Any:
    """Make a field of `Settings` with its row of the table."""
    return field(default=default, metadata={"row": Row("", read, default, help, **others)})


def _origins(value: Any) -> tuple[str, ...]:
    found = names(value)
    for origin in found:
        if origin != "*" and _ORIGIN.fullmatch(origin) is None:
            raise ValueError(f"has {origin!r}, which is not an origin")
    return found


def _retentions(value: Any) -> dict[str, Retention]:
    """Read a mapping, or its JSON. The longest prefix comes first."""
    try:
        given = dict(json.loads(value) if isinstance(value, str) else value)
        rows = {
            str(prefix): Retention(int(events), float(seconds), *map(int, replay))
            for prefix, (events, seconds, *replay) in given.items()
        }
    except (TypeError, ValueError, OverflowError):
        raise ValueError("does not map prefixes to [events, seconds, replay]") from None
    if any(r.events < 0 or r.replay < 0 or not 0 <= r.seconds <= _MAX_HISTORY_SECONDS for r in rows.values()):
        raise ValueError("has a negative or too large bound")
    return dict(sorted(rows.items(), key=lambda row: len(row[0]), reverse=True))


@dataclass(frozen=True, repr=False)
class Settings:
    """Every setting of the extension. The key in ``app.config`` is ``SIMULCAST_`` and the name in capitals.

    Its ``repr`` shows no password of ``broker_url``.
    """

    broker_url: str = setting(
        text,
        "sqlite:///simulcast.db",
        "URL of the log of events: sqlite:///<path> (relative to the app's instance folder; four slashes for an "
        "absolute path), redis://[user:password@]host[:port][/db], rediss:// (TLS), unix://<path>, "
        "sentinel://host[:port],host[:port]/service, or memory://.",
        shelf=Shelf.FIRST,
        show=url.shown,
    )
    history_events: int = setting(
        Integer(),
        1000,
        "Number of a channel's newest events that are kept.",
        unit="events",
        shelf=Shelf.LIMITS,
    )
    history_seconds: float = setting(
        Number(0, _MAX_HISTORY_SECONDS),
        3600,
        "Age up to which these events are kept.",
        unit="s",
        shelf=Shelf.LIMITS,
    )
    history_channels: Mapping[str, Any] = setting(
        _retentions,
        (),
        'Retention of channels that begin with a prefix, as a mapping (JSON in the environment) {"prefix": [events, '
        "seconds, replay]}, where replay may be left out; the longest prefix wins.",
        example='{"chat:": [200, 86400]}',
    )
    history_bytes: int = setting(
        Integer(1 << 20),
        512 << 20,
        "Size of the log above which its oldest events are removed.",
        unit="bytes",
        shelf=Shelf.LIMITS,
    )
    replay_events: int = setting(
        Integer(0, 100_000),
        0,
        "Number of a channel's newest events that a new listener receives first, unless it asks for another number.",
        unit="events",
    )
    max_event_bytes: int = setting(
        Integer(1, 16 << 20),
        64 << 10,
        "Largest data of one event, encoded as JSON; a message from a WebSocket client may have twice this size.",
        unit="bytes",
        shelf=Shelf.LIMITS,
        was=("websocket_message_bytes",),
    )
    queue_bytes: int = setting(
        Integer(1024, 64 << 20),
        64 << 10,
        "Bytes that may wait for one slow client, or for one slow WebSocket handler; above that, a listener reads from "
        "the log at its own pace, and the sender of a WebSocket message waits.",
        unit="bytes",
        shelf=Shelf.LIMITS,
        was=("listener_queue_bytes", "websocket_queue_bytes"),
    )
    http2: bool = setting(
        boolean,
        False,
        "Whether gunicorn's port takes HTTP/2, which gRPC needs: with TLS, and without it from the proxies of gunicorn's "
        "`forwarded_allow_ips`.",
        shelf=Shelf.RARELY,
    )
    parking: bool = setting(
        boolean,
        True,
        "Whether an idle stream, or a WebSocket with `on_message`, under gunicorn's gevent worker gives its greenlet back, which "
        "makes it ten times smaller; turn it off for a WSGI middleware that changes the body of a stream after its first chunks.",
        shelf=Shelf.RARELY,
    )
    max_listeners: int = setting(
        Integer(1),
        10_000,
        "Largest number of listeners of one worker, and of WebSockets. A parked one takes none of gunicorn's "
        "worker_connections; keep it below those if there are streams, or WebSockets, that can't park.",
        shelf=Shelf.LIMITS,
    )
    max_listeners_per_user: int = setting(
        Integer(0, 1_000_000),
        100,
        "Largest number of listeners of one user in one worker; 0 for no limit.",
        shelf=Shelf.LIMITS,
    )
    max_listeners_per_address: int = setting(
        Integer(_HALF, 1_000_000),
        _HALF,
        "Largest number of listeners, and of WebSockets, of one address (in IPv6 one /64 network) in one worker; 0 for "
        "no limit, -1 for half of SIMULCAST_MAX_LISTENERS and at least 16.",
        shelf=Shelf.LIMITS,
    )
    max_channels_per_listener: int = setting(
        Integer(1, 10_000), 32, "Largest number of channels that one listener may name.", shelf=Shelf.LIMITS
    )
    max_runs: int = setting(
        Integer(),
        100,
        "Largest number of runs that one worker produces at once; 0 for none.",
        shelf=Shelf.LIMITS,
    )
    max_runs_per_user: int = setting(
        Integer(0, 1_000_000),
        10,
        "Largest number of runs of one user in one worker at once; 0 for no limit.",
        shelf=Shelf.LIMITS,
    )
    max_grant_seconds: float = setting(
        Number(60, 366 * 86400),
        86400,
        "Longest time that a token may be valid; revocations are remembered for the same time.",
        unit="s",
        shelf=Shelf.LIMITS,
    )
    websocket_rate: int = setting(
        Integer(),
        100,
        "Messages per second that a WebSocket client may send, with two seconds' worth at once; 0 for no limit.",
        unit="messages/s",
        shelf=Shelf.LIMITS,
        was=("websocket_messages_per_second",),
    )
    allowed_origins: tuple[str, ...] = setting(
        _origins,
        (),
        "Origins, besides the app's own, of pages that may listen and publish, separated by commas; * for any origin, "
        "without cookies.",
        example="https://app.example,http://localhost:3000",
    )
    presence_channels: tuple[str, ...] = setting(
        patterns,
        (),
        "Channels that have presence, separated by commas: names, or prefixes that end in a star (chat.*).",
        example="chat.*,room:*",
    )
    presence_lease_seconds: float = setting(
        Number(1, 60),
        8,
        "Time after which the listeners of a killed or frozen worker count as gone.",
        unit="s",
    )
    heartbeat_seconds: float = setting(
        Number(0.1, 3600),
        15,
        "Time without an event after which a listener is sent a heartbeat; a WebSocket client that sends nothing for "
        "this time is sent a ping.",
        unit="s",
    )
    stall_seconds: float = setting(
        Number(1, 86400),
        60,
        "Time after which a client that takes no data is disconnected, as is a WebSocket client that answers no ping.",
        unit="s",
    )
    retry_ms: int = setting(
        Integer(1, 3_600_000), 2000, "Time that an EventSource waits before it reconnects.", unit="ms"
    )
    drain_seconds: float = setting(
        Number(0, 60),
        1,
        "Time that a stopping worker waits until its clients have taken their last bytes.",
        unit="s",
    )
    broker_seconds: float = setting(
        Number(0, 60),
        0,
        "Time after which a call to the log fails: for its turn to write to SQLite, or for a connection to Redis and "
        "for each answer; 0 for 5 seconds with SQLite and 2 with Redis.",
        unit="s",
        example="5",
        was=("append_seconds", "redis_seconds"),
    )
    eventsource_refusals: bool = setting(
        boolean,
        True,
        "Whether a native EventSource, whose page can't read a status, receives a 401 or 403 as a `closed` event and "
        "then 204; other clients receive the status.",
    )
    websocket_compression: bool = setting(
        boolean,
        False,
        "Whether WebSocket clients that offer permessage-deflate get it; it costs time on both sides, and the length of"
        " a message can reveal its content.",
    )
    sqlite_commit_in_thread: bool = setting(
        boolean,
        False,
        "Whether every commit to SQLite runs in a thread, so that a hung disk blocks only publishing; publishing then "
        "takes two to five times as long.",
        was=("sqlite_commit",),
    )
    redis_prefix: str = setting(
        matching(r"[A-Za-z0-9._:-]{1,64}", "1 to 64 characters of A-Z a-z 0-9 . _ : -"),
        "simulcast",
        "First part of all keys in Redis, in braces; apps that share a Redis need different ones.",
    )

    def __post_init__(self) -> None:
        for row in ROWS:
            object.__setattr__(self, row.name, row.value(getattr(self, row.name)))
        if self.max_listeners_per_address == _HALF:
            object.__setattr__(self, "max_listeners_per_address", max(self.max_listeners // 2, _FEW_LISTENERS))

    def __repr__(self) -> str:
        shown = {row.name: row.show(getattr(self, row.name)) for row in ROWS}
        return f"Settings({', '.join(f'{name}={value}' for name, value in shown.items())})"

    @classmethod
    def rows(cls) -> tuple[Row, ...]:
        """Return the table of these settings."""
        return ROWS

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """Read the extension's keys of a Flask config. Text is converted; other keys are left alone.

        Raises:
            SettingError: A value can't be used. Names the key, the value and an example.
        """
        return cls(**{row.name: config[row.key] for row in ROWS if config.get(row.key) is not None})

    def retention(self, channel: str) -> Retention:
        """Return how much of a channel is kept."""
        found: Retention
        for prefix, found in self.history_channels.items():
            if channel.startswith(prefix):
                return found
        if channel.startswith(RUN_PREFIX):
            return _OF_RUNS
        return Retention(self.history_events, self.history_seconds, self.replay_events)

    @property
    def has_memory_log(self) -> bool:
        """Tell whether the log is in memory, where no other process can read it."""
        return self.broker_url.startswith("memory:")

    @property
    def longest_history_seconds(self) -> float:
        """Return the greatest age that the history of any channel may have."""
        others: list[float] = [retention.seconds for retention in self.history_channels.values()]
        return max([self.history_seconds, self.retention(RUN_PREFIX).seconds, *others])

    @property
    def most_history_bytes(self) -> int:
        """Return the hard limit of the log's file. It leaves room for events that trimming, which runs behind, has not removed."""
        return self.history_bytes * 2


#: The table, in the order of the fields.
ROWS: tuple[Row, ...] = tuple(replace(row.metadata["row"], name=row.name) for row in fields(Settings))


def misspelt(config: Mapping[str, Any], own: Collection[str] = ()) -> dict[str, str]:
    """Find the SIMULCAST_* keys of a Flask config that are not settings.

    Args:
        own: SIMULCAST_* keys that are the app's own.

    Returns:
        For each, the key that is probably meant; empty for none.
    """
    known = {row.key for row in ROWS} | set(own)
    unknown = [key for key in map(str, config) if key.startswith(PREFIX) and key not in known]
    return {key: nearest(key, ROWS) for key in unknown}
