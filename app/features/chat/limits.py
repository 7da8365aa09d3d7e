"""Limits: how fast a person may speak, in one room and in all rooms together. Token buckets, in each worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from flask import Flask, current_app

from ...web.limits import Buckets, take_from_all, too_fast

_KEY = "simulcast_chat"
#: People at one address that may speak at the full rate: a school or an office shares one address.
_PEOPLE_PER_ADDRESS = 10
#: How many rooms a person may speak in at full rate at the same time; no reader follows more. Rooms cost nothing, so a limit for
#: each room alone would be no limit.
_ROOMS_AT_ONCE = 5
#: Seconds' worth of messages that one person may send at once: an answer of several lines, after some thought.
BURST_SECONDS = 10
# For one person, and for a whole room: people can't read more.
_TYPING_PER_SECOND = 1
_TYPING_PER_ROOM = 10


class Speaker(NamedTuple):
    """The person that the limits bind, and their bucket.

    Attributes:
        name: The name of the person's own bucket. Without a token it is the address, because a new name costs nothing.
        address: Bound besides; empty where it is not known, and for a backend that speaks for many.
    """

    name: str
    address: str


class Limits:
    """The chat limits of one app in this process.

    Args:
        rate: Messages a second of one person in one room; 0 for no limit. In all rooms together it is five times as many.
        burst: How many of them at once.
        clock: Monotonic seconds.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:

        def buckets(times: int) -> Buckets | None:
            return Buckets(rate * times, burst * times, clock) if rate else None

        self._people, self._addresses = buckets(1), buckets(_PEOPLE_PER_ADDRESS)
        # Separate buckets: any client can name new rooms without end, and their buckets must not push these out.
        self._people_everywhere = buckets(_ROOMS_AT_ONCE)
        self._addresses_everywhere = buckets(_PEOPLE_PER_ADDRESS * _ROOMS_AT_ONCE)
        self._typing = Buckets(_TYPING_PER_SECOND, 1, clock)
        self._typing_everywhere = Buckets(_TYPING_PER_SECOND * _ROOMS_AT_ONCE, _ROOMS_AT_ONCE, clock)
        self._rooms = Buckets(_TYPING_PER_ROOM, _TYPING_PER_ROOM, clock)

    def check_message(self, room: str, speaker: Speaker) -> None:
        """Take one message's token from each bucket, or from none.

        Raises:
            ApiError: 429 ``chat_rate`` with ``Retry-After``.
        """
        # A room has no space in its name, so that none of these can be taken for another.
        asked = [(self._people, f"{room} {speaker.name}"), (self._people_everywhere, speaker.name)]
        if speaker.address:
            asked += [(self._addresses, f"{room} {speaker.address}"), (self._addresses_everywhere, speaker.address)]
        seconds = take_from_all([(buckets, name) for buckets, name in asked if buckets is not None])
        if seconds > 0:
            raise too_fast("chat_rate", "You say too much at once", seconds)

    def takes_typing(self, room: str, speaker: Speaker) -> bool:
        """Tell whether a typing hint may be sent now. It is only a hint, so one above the limit is left out without an error."""
        own = [(self._typing, f"{room} {speaker.name}"), (self._typing_everywhere, speaker.name)]
        return not take_from_all([*own, (self._rooms, room)])


def init_app(app: Flask) -> None:
    """Read the settings."""
    rate = app.config["SIMULCAST_CHAT_RATE"]
    app.extensions[_KEY] = Limits(rate, BURST_SECONDS * rate)


def here() -> Limits:
    """Return the limits of the current app."""
    limits: Limits = current_app.extensions[_KEY]
    return limits
