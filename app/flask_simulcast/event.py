"""Event and Position: the two values that all other parts pass on.

Nothing in this file reads a clock or does I/O.

A position is a point in the log. As text it is the SSE ``id``::

    1763690000123-4-9f3a2c1b
    └ milliseconds  │ └ tag: 32 random bits of this event
                    └ counter within the millisecond

Milliseconds and counter order it over the whole log, all channels. The tag orders nothing: it
distinguishes this event from an event with the same number on a fork of the log.

In an encoding that can't name an event's channel otherwise, the id is the position, a slash, and the channel (`label_of`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import quote

from .data import encode_data, is_raw, is_unicode, text_of
from .errors import ChannelNameError, EventTypeError, IdempotencyKeyError

COUNTER_BITS = 20
_COUNTER_MASK = (1 << COUNTER_BITS) - 1
_MAX_KEY = (1 << 63) - 1  # SQLite's INTEGER; with 20 bits of counter it lasts to the year 2248

MAX_CHANNEL_CHARACTERS = 128
MAX_TYPE_CHARACTERS = 128
MAX_KEY_CHARACTERS = 128
MAX_USER_CHARACTERS = 128
MAX_MEMBER_CHARACTERS = 256  # a user, and room for what an app puts before a name that is no user's

# Only the hub publishes to these, so no client can speak in its name.
USER_PREFIX = "user:"  # events for all listeners of one user
LISTENER_PREFIX = "listener:"  # events for one connection
PRESENCE_PREFIX = "presence:"  # joins and leaves of the channel whose name follows
RUN_PREFIX = "run:"  # the events of one run
_INTERNAL_PREFIX = "simulcast:"  # messages between workers; no client can listen to them
RESERVED_PREFIXES = (USER_PREFIX, LISTENER_PREFIX, PRESENCE_PREFIX, RUN_PREFIX, _INTERNAL_PREFIX)
ALL = "all"  # events for every listener
CONTROL = _INTERNAL_PREFIX + "control"
RESERVED_CHANNELS = frozenset({ALL})
# Types that the transports send themselves; an application event must not be mistaken for one of them.
CONTROL_TYPES = frozenset({"connected", "gap", "heartbeat", "closed"})
# Types that EventSource dispatches itself: an event of ours with such a type would call a page's `onerror` or `onopen`.
_TYPES_OF_EVENT_SOURCE = frozenset({"error", "open"})

_CHANNEL = re.compile(r"(?:presence:)?[A-Za-z0-9._:-]{1,128}", re.ASCII)
_MAX_NAME_CHARACTERS = len(PRESENCE_PREFIX) + MAX_CHANNEL_CHARACTERS
# The longest possible label: a user of 128 characters, each of 4 bytes, each byte as %XX.
_MAX_LABEL_CHARACTERS = len(USER_PREFIX) + MAX_USER_CHARACTERS * 4 * 3
# Bounded in every part: int() of a hostile header must stay cheap, and \d would accept Arabic digits.
_POSITION = re.compile(
    rf"([0-9]{{1,13}})-([0-9]{{1,7}})-([0-9a-f]{{8}})(?:/[!-~]{{1,{_MAX_LABEL_CHARACTERS}}})?", re.ASCII
)


class Position(NamedTuple):
    """A point in the log: ``key`` orders it (``milliseconds << 20 | counter``), ``tag`` names it."""

    key: int
    tag: int

    @property
    def milliseconds(self) -> int:
        """Unix time in ms at which the log assigned this position. It never runs backwards."""
        return self.key >> COUNTER_BITS

    def __str__(self) -> str:
        return f"{self.key >> COUNTER_BITS}-{self.key & _COUNTER_MASK}-{self.tag:08x}"

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """Read the text form, and ignore a channel behind it. Return None for any other text; never raise."""
        match = _POSITION.fullmatch(text)
        if match is None:
            return None
        milliseconds, counter, tag = match.groups()
        if int(counter) > _COUNTER_MASK:
            return None
        key = int(milliseconds) << COUNTER_BITS | int(counter)
        return cls(key, int(tag, 16)) if key <= _MAX_KEY else None


def first_key_of(milliseconds: int) -> int:
    """Return the smallest key that a position of this millisecond can have."""
    return milliseconds << COUNTER_BITS


def next_key(last: int, now_ms: int) -> int:
    """Return the key after ``last``: the first key of now, or ``last + 1`` if that is larger, even if the clock jumps back."""
    return max(now_ms << COUNTER_BITS, last + 1)


class Draft(NamedTuple):
    """An event without a position yet. It is checked and encoded already."""

    channel: str
    type: str
    data: str
    key: str | None = None  # idempotency key
    fingerprint: str = ""  # a known key with another fingerprint is refused; empty: any event with the key is the same


class IdempotencyKey(NamedTuple):
    """An idempotency key with its sender and fingerprint.

    Attributes:
        key: 1-128 characters.
        sender: Any text that names the client that chose the key, so that a client can't use up another client's key. Empty
            for the app itself.
        fingerprint: A second publish with the key is the same event if this text is equal, and refused if not. For data that
            differs with each try, for example because it has a time in it. None to compare type and data.
    """

    key: str
    sender: str = ""
    fingerprint: str | None = None

    def name(self, channel: str) -> str:
        """Return the name of the key in the log. A key counts only for its channel and its sender."""
        # A channel's name has neither a space nor a slash, so no other key has this name.
        return f"{channel}/{fingerprint_of(self.sender, self.key)}" if self.sender else f"{channel} {self.key}"


class Event:
    """One immutable published thing.

    Attributes:
        position: Its position in the log.
        channel: Its channel.
        type: Event name for ``addEventListener``; ``message`` if the publisher gave none.
        data: JSON text, encoded once, when the event was published. Raw text is a JSON string in it.
    """

    __slots__ = ("_frames", "channel", "data", "position", "type")

    def __init__(self, position: Position, channel: str, type: str, data: str) -> None:
        self.position = position
        self.channel = channel
        self.type = type
        self.data = data
        self._frames: dict[Callable[[Event], bytes], bytes] | None = None

    @property
    def time_ms(self) -> int:
        """Unix time in ms at which it was stored."""
        return self.position.milliseconds

    @property
    def is_raw(self) -> bool:
        """Whether it was published as raw text, for example as Markup, and not as JSON."""
        return is_raw(self.data)

    @property
    def text(self) -> str:
        """The data as a browser gets it: the raw text, or else the JSON text."""
        return text_of(self.data)

    def with_data(self, data: object, *, type: str | None = None, raw: bool = False) -> Event:
        """Return this event with other data, for a view that narrows it or makes HTML of it.

        Args:
            data: Anything JSON can hold, or Markup.
            type: Another event type; None for its own.
            raw: Whether the data is text that goes to browsers as it is, not as JSON.

        Raises:
            EventDataError: JSON can't hold it, or it is raw and not text.
        """
        return Event(self.position, self.channel, type or self.type, encode_data(data, raw=raw))

    def frame(self, encode: Callable[[Event], bytes]) -> bytes:
        """Return the event as bytes. The first call builds the frame; later calls share it."""
        frames = self._frames
        if frames is None:
            frames = self._frames = {}
        frame = frames.get(encode)
        if frame is None:
            frame = frames[encode] = encode(self)
        return frame

    def __repr__(self) -> str:
        return f"<Event {self.position} {self.channel} {self.type}>"


View = Callable[[Event], Event | None]
"""A pure, hashable function that drops or narrows an event for an audience."""


def label_of(channel: str) -> str:
    """Return a channel's name as it is written behind a position; a user's is percent-encoded. A client sends the id back in a
    header, which takes ASCII only, and splits it at the slash.
    """
    return quote(channel, safe=":") if channel.startswith(USER_PREFIX) else channel


def check_channel(name: object) -> str:
    """Return ``name`` if a client may listen to it.

    Raises:
        ChannelNameError: It is not 1-128 characters of ``A-Z a-z 0-9 . _ : -``, or it is a channel between workers.
    """
    if isinstance(name, str) and len(name) <= _MAX_NAME_CHARACTERS and _is_channel(name):
        return name
    raise ChannelNameError(
        f"{_short(name)} is not a channel name. Use 1 to {MAX_CHANNEL_CHARACTERS} characters of A-Z a-z 0-9 . _ : -"
    )


@lru_cache(maxsize=1024)  # most callers name a few channels; the check takes a microsecond
def _is_channel(name: str) -> bool:
    return _CHANNEL.fullmatch(name) is not None and not name.startswith(_INTERNAL_PREFIX)


def check_publishable(name: object) -> str:
    """Return ``name`` if a caller may publish to it: a channel name that is not reserved.

    Raises:
        ChannelNameError: It is not a channel name, or only the hub publishes to it.
    """
    if isinstance(name, str) and len(name) <= MAX_CHANNEL_CHARACTERS and _is_publishable(name):
        return name
    raise ChannelNameError(
        f"{_short(check_channel(name))} is reserved. Choose a name that is not 'all' and does not begin with "
        + ", ".join(RESERVED_PREFIXES)
    )


@lru_cache(maxsize=1024)
def _is_publishable(name: str) -> bool:
    is_reserved = name in RESERVED_CHANNELS or name.startswith(RESERVED_PREFIXES)
    return not is_reserved and _CHANNEL.fullmatch(name) is not None


def check_type(type: object) -> str:
    """Return ``type`` if it may stand in an ``event:`` line.

    Raises:
        EventTypeError: It is empty, over 128 characters, a control type, a type that EventSource dispatches itself, or has a
            CR, LF or NUL in it.
    """
    if isinstance(type, str) and len(type) <= MAX_TYPE_CHARACTERS and _is_type(type):
        return type
    if not isinstance(type, str) or not 1 <= len(type) <= MAX_TYPE_CHARACTERS or _breaks_a_line(type):
        raise EventTypeError(
            f"{_short(type)} is not an event type. Use 1 to {MAX_TYPE_CHARACTERS} characters without CR, LF or NUL."
        )
    if type in CONTROL_TYPES:
        raise EventTypeError(f"{_short(type)} is a type that streams use themselves. Choose another name.")
    raise EventTypeError(f"{_short(type)} is an event of EventSource itself. Choose another name, such as failed.")


@lru_cache(maxsize=1024)
def _is_type(text: str) -> bool:
    return bool(text) and not _breaks_a_line(text) and text not in CONTROL_TYPES | _TYPES_OF_EVENT_SOURCE


def check_key(key: object) -> IdempotencyKey:
    """Return an idempotency key. A plain text becomes a key of the app itself.

    Raises:
        IdempotencyKeyError: It is not text of 1-128 characters.
    """
    own = key if isinstance(key, IdempotencyKey) else IdempotencyKey(key)  # type: ignore[arg-type]
    if not isinstance(own.key, str) or not 1 <= len(own.key) <= MAX_KEY_CHARACTERS or not is_unicode(own.key):
        raise IdempotencyKeyError(
            f"{_short(own.key)} is not an idempotency key. Use text of 1 to {MAX_KEY_CHARACTERS} characters."
        )
    return own


def fingerprint_of(*texts: str) -> str:
    """Return 128 bits of a hash, as hex: enough that a second text with the same hash can't be made."""
    hashed = blake2b(digest_size=16)
    for text in texts:
        encoded = text.encode("utf-8", "surrogatepass")
        hashed.update(b"%d:" % len(encoded) + encoded)  # with its length: different lists of texts are different bytes
    return hashed.hexdigest()


def check_user(user: object) -> str:
    """Return ``user`` if it is a valid user name: any text of 1-128 characters without CR, LF or NUL.

    Raises:
        ChannelNameError: It is not.
    """
    if not isinstance(user, str) or not 1 <= len(user) <= MAX_USER_CHARACTERS or _breaks_a_line(user):
        raise ChannelNameError(
            f"{_short(user)} is not a user. Use text of 1 to {MAX_USER_CHARACTERS} characters without CR, LF or NUL."
        )
    return user


def check_member(member: object) -> str:
    """Return ``member`` if a listener can be present under this name: any text of 1-256 characters without NUL.

    Raises:
        ChannelNameError: It is not.
    """
    is_text = isinstance(member, str) and "\0" not in member and is_unicode(member)
    if not isinstance(member, str) or not is_text or not 1 <= len(member) <= MAX_MEMBER_CHARACTERS:
        raise ChannelNameError(
            f"{_short(member)} is no name of a member. Use text of 1 to {MAX_MEMBER_CHARACTERS} characters without NUL."
        )
    return member


def _breaks_a_line(text: str) -> bool:
    return "\n" in text or "\r" in text or "\0" in text or not is_unicode(text)


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 140 else text[:137] + "..."
