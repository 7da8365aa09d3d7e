"""Publishing: the publish methods, for the extension and for programs without a Flask app."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from .brokers import check_log, check_url, connect, located
from .data import Default, byte_length, encode_data
from .errors import (
    ChannelCountError,
    EventDataError,
    EventTooLargeError,
    NoSuchListenerError,
    SettingError,
    SimulcastError,
)
from .event import (
    ALL,
    LISTENER_PREFIX,
    USER_PREFIX,
    Draft,
    Event,
    IdempotencyKey,
    check_key,
    check_publishable,
    check_type,
    check_user,
    fingerprint_of,
)
from .metrics import Metrics
from .rows import PREFIX, unknown
from .settings import ROWS, Settings, misspelt

if TYPE_CHECKING:
    from .hub.hub import Hub

_MAX_CHANNELS = 1000
_FIELDS = frozenset({"channel", "channels", "data", "type", "idempotency_key", "raw"})


class Publishing(ABC):
    """The publish methods. The name of each says how far it reaches. Each returns once the log has the event, and may switch.

    All raise what `publish` raises.
    """

    @property
    @abstractmethod
    def hub(self) -> Hub:
        """The hub of this process, which appends the events."""

    @property
    @abstractmethod
    def _default(self) -> Default:
        """Converts values that JSON can't hold."""

    def publish(
        self,
        channel: str,
        data: object,
        *,
        type: str = "message",
        idempotency_key: str | IdempotencyKey | None = None,
        raw: bool = False,
    ) -> Event:
        """Append one event to a channel's history and hand it to every listener of the fleet.

        Returns once the log has the event, not once clients have it: a listener may be slow, offline, or
        on another machine. Two calls from one greenlet keep their order. May switch.

        Args:
            channel: 1-128 characters of ``A-Z a-z 0-9 . _ : -``. Case matters.
            data: Anything JSON can hold, bytes, and what ``app.json`` can write: dates, decimals, UUIDs, dataclasses.
                Encoded here, once, for all transports. Markup (HTML that is escaped) goes to browsers as it is.
            type: Event name for ``addEventListener``. No CR, LF or NUL.
            idempotency_key: A second publish to this channel with the same key within 300 s is not stored again; with another
                type or other data it is refused. Use an `IdempotencyKey` for a key that a client chose: it names the client.
            raw: Whether ``data`` is text that goes to browsers as it is, not as JSON.

        Raises:
            InvalidEventError: Channel, type, data or key is invalid.
            IdempotencyConflictError: The key was used for another event. Certainly not stored.
            EventTooLargeError: The encoded data exceeds ``SIMULCAST_MAX_EVENT_BYTES``.
            BrokerUnavailableError: Certainly not stored. Safe to try again.
            PublishUncertainError: Perhaps stored. Try again only with an idempotency key.
        """
        return self._append((check_publishable(channel),), data, type, idempotency_key, raw)[0]

    def publish_many(self, events: Iterable[Mapping[str, Any]]) -> list[Event]:
        """Append several events, to any channels, in this order: all or none.

        Args:
            events: Mappings with ``channel``, ``data`` and optionally ``type``, ``idempotency_key`` and ``raw``. Use
                ``channels``, a list of names, instead of ``channel`` to append the event to each of them.

        Raises:
            InvalidEventError: One of the events is invalid; the message says which. None is stored.
            BrokerUnavailableError, PublishUncertainError: As in `publish`.
        """
        return self.hub.publish(self.drafts(events))

    def drafts(self, events: Iterable[Mapping[str, Any]]) -> list[Draft]:
        """Check and encode events, as `publish_many` takes them, for a later ``hub.publish``. May switch.

        Raises:
            InvalidEventError: One of the events is invalid; the message says which.
        """
        hub, default = self.hub, self._default
        drafts: list[Draft] = []
        for number, event in enumerate(events):
            if number:
                hub.breathe()  # encoding thousands of events would hold the loop
            drafts += _drafts(event, number, hub.settings, default)
        return drafts

    def publish_to_channels(
        self,
        channels: Iterable[str],
        data: object,
        *,
        type: str = "message",
        idempotency_key: str | IdempotencyKey | None = None,
        raw: bool = False,
    ) -> list[Event]:
        """Append the same event to several channels, to all or none. Return one event for each, in the order of the names."""
        return self._append(_publishable(channels), data, type, idempotency_key, raw)

    def broadcast(
        self,
        data: object,
        *,
        type: str = "message",
        idempotency_key: str | IdempotencyKey | None = None,
        raw: bool = False,
    ) -> Event:
        """Append an event for every listener of the fleet, whatever channels it listens to."""
        return self._append((ALL,), data, type, idempotency_key, raw)[0]

    def publish_to_user(
        self,
        user: str,
        data: object,
        *,
        type: str = "message",
        idempotency_key: str | IdempotencyKey | None = None,
        raw: bool = False,
    ) -> Event:
        """Append an event for all listeners of one user, including those that reconnect later.

        Args:
            user: As in `Grant`. The user does not have to be connected.
        """
        return self._append((USER_PREFIX + check_user(user),), data, type, idempotency_key, raw)[0]

    def publish_to_listener(
        self,
        listener: str,
        data: object,
        *,
        type: str = "message",
        idempotency_key: str | IdempotencyKey | None = None,
        raw: bool = False,
    ) -> Event:
        """Append an event for one connection, in any worker.

        Args:
            listener: Its id, as in its ``connected`` event. A client that reconnects gets another id.

        Raises:
            NoSuchListenerError: No listener is connected under this id.
        """
        if self.hub.find_place(listener) is None:
            raise NoSuchListenerError(f"No listener is connected as {listener[:64]!a}. Perhaps it has left already.")
        return self._append((LISTENER_PREFIX + listener,), data, type, idempotency_key, raw)[0]

    def _append(
        self, channels: Sequence[str], data: object, type: str, key: str | IdempotencyKey | None, raw: bool
    ) -> list[Event]:
        hub = self.hub
        return hub.publish(checked_drafts(channels, data, type, key, hub.settings, self._default, raw))


class Publisher(Publishing):
    """Publishes from outside a worker: a job queue, a cron script, another service. Needs no app and no patching.

    ::

        with Publisher.from_url("sqlite:////srv/app/instance/simulcast.db") as publisher:
            publisher.publish("orders", {"id": 7}, type="created")

    Several threads may use it. After a fork the child may use it, too: it reopens the log.

    Args:
        settings: Checked settings. A relative path of an SQLite log starts in the working directory.
        create: See `from_url`.

    Raises:
        SettingError, BrokerUnavailableError: As in `from_url`.
    """

    def __init__(self, settings: Settings, *, create: bool = False) -> None:
        check_url(settings)
        if settings.has_memory_log:
            raise SettingError(
                "SIMULCAST_BROKER_URL=memory:// is a log of one process, so no listener would receive these events. Use the "
                "URL of the workers' log, sqlite:///… or redis://…; inside the app, publish with simulcast.publish()."
            )
        self._settings = located(settings)
        self._create = create
        if not create:
            check_log(self._settings)
        self._hub: Hub | None = None
        self._mutex = threading.Lock()

    @classmethod
    def from_url(cls, url: str, *, create: bool = False, **settings: object) -> Publisher:
        """Make a publisher on the same log as the workers.

        Args:
            url: Their ``SIMULCAST_BROKER_URL``. A relative path of an SQLite log starts in the working directory, since there
                is no app with an instance folder. ``memory://`` is refused: no other process can read that log.
            create: Create the SQLite log if it is missing. Otherwise a missing log is an error: no listener would read it.
            settings: Other settings, in lower case and without the prefix. Give those that the workers set the same values.

        Raises:
            SettingError: A setting is invalid.
            BrokerUnavailableError: The file of the log does not exist. The message has its absolute path.
        """
        given = {PREFIX + name.upper(): value for name, value in settings.items()}
        for key in misspelt(given):
            raise unknown(key, ROWS)
        return cls(Settings.from_config(given | {PREFIX + "BROKER_URL": url}), create=create)

    def close(self) -> None:
        """Close the log. The next use opens it again."""
        with self._mutex:
            hub, self._hub = self._hub, None
        if hub is not None and hub.pid == os.getpid():
            hub.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _default(self) -> Default:
        return _written_by_flask

    @property
    def hub(self) -> Hub:
        """The hub of this process, made at its first use: open files must not cross a fork."""
        from .hub.hub import Hub  # with gevent: a program that does not publish yet starts without it

        with self._mutex:
            if self._hub is None or self._hub.pid != os.getpid():
                self._hub = Hub(connect(self._settings, create=self._create), self._settings, Metrics(), self)
            return self._hub


def _written_by_flask(value: object) -> object:
    from .transports.app_json import default_of  # with Flask: a program whose data is plain JSON never needs it

    return default_of()(value)


def _drafts(event: Mapping[str, Any], number: int, settings: Settings, default: Default) -> list[Draft]:
    try:
        if not isinstance(event, (dict, Mapping)):  # a dict is found at once, any other mapping takes a microsecond
            raise EventDataError(
                f'{type(event).__name__} is not an event. Use a mapping: {{"channel": "orders", "data": 7}}.'
            )
        if not _FIELDS.issuperset(event):
            unknown = min(event.keys() - _FIELDS, key=str)
            raise EventDataError(f"An event has no field {unknown!a}. Use {', '.join(sorted(_FIELDS))}.")
        if "data" not in event:
            raise EventDataError("The event has no data. Give it data, None for null.")
        channels = event.get("channels")
        names = (check_publishable(event.get("channel")),) if channels is None else _publishable(channels)
        key, raw = event.get("idempotency_key"), event.get("raw", False)
        return checked_drafts(names, event["data"], event.get("type", "message"), key, settings, default, raw)
    except SimulcastError as error:
        error.args = (f"Event {number}: {error}",) if number else error.args
        raise


def _publishable(channels: object) -> tuple[str, ...]:
    """Check the names, and return each once, in the order given."""
    given = list(channels) if isinstance(channels, Iterable) and not isinstance(channels, str) else []
    if not 1 <= len(given) <= _MAX_CHANNELS:
        raise ChannelCountError(f"{len(given)} channels were named. Give a list of 1 to {_MAX_CHANNELS}.")
    return tuple(dict.fromkeys(check_publishable(name) for name in given))


def checked_drafts(
    channels: Sequence[str],
    data: object,
    type: str,
    key: object,
    settings: Settings,
    default: Default,
    raw: bool = False,
) -> list[Draft]:
    """Check and encode one event for channels that are checked already.

    Raises:
        InvalidEventError: Type, data or key is invalid.
    """
    type, text = check_type(type), encode_data(data, default, raw=raw)
    size = byte_length(text)
    if size > settings.max_event_bytes:
        raise EventTooLargeError(
            f"The data has {size} bytes as JSON, and {settings.max_event_bytes} are allowed. "
            "Send a reference to it, or raise SIMULCAST_MAX_EVENT_BYTES."
        )
    if key is None:
        return [Draft(channel, type, text) for channel in channels]
    own = check_key(key)
    fingerprint = fingerprint_of(type, text) if own.fingerprint is None else fingerprint_of(own.fingerprint)
    return [Draft(channel, type, text, own.name(channel), fingerprint) for channel in channels]
