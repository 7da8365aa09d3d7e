"""Floods: how fast one may speak in a room. Token buckets, in each worker."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

from flask import Flask, current_app

from ..errors import ApiError
from ..limits import Buckets

_KEY = "simulcast_chat"
#: So many people at one address may speak as fast as they like: a school or an office has one.
_PEOPLE_PER_ADDRESS = 10
# For one person, and for a whole room: more nobody can read.
_TYPING_PER_SECOND = 1
_TYPING_PER_ROOM = 10


class Speaker(NamedTuple):
    """Who is bound, and by what.

    Attributes:
        name: Bound by its own bucket. Of somebody who has no token it is the address: other names cost nothing.
        address: Bound besides; empty where it is not known, and for a backend that speaks for many.
    """

    name: str
    address: str


class Floods:
    """What one app allows in this process.

    Args:
        rate: Messages a second of one person in one room; 0 for no bound.
        burst: How many of them at once.
        clock: Monotonic seconds.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        many = _PEOPLE_PER_ADDRESS
        self._people = Buckets(rate, burst, clock) if rate else None
        self._addresses = Buckets(rate * many, burst * many, clock) if rate else None
        self._typing = Buckets(_TYPING_PER_SECOND, 1, clock)
        self._rooms = Buckets(_TYPING_PER_ROOM, _TYPING_PER_ROOM, clock)

    def check_message(self, room: str, speaker: Speaker) -> None:
        """Take one message's token from each bucket, or from none.

        Raises:
            ApiError: 429 ``chat_rate`` with ``Retry-After``.
        """
        asked = [(self._people, speaker.name)]
        if speaker.address:
            asked.append((self._addresses, speaker.address))
        # A room has no space in its name, so that none of these can be taken for another.
        found = [(buckets, f"{room} {name}") for buckets, name in asked if buckets is not None]
        seconds = max((buckets.wait(name, 1) for buckets, name in found), default=0)
        if seconds > 0:
            after = math.ceil(seconds)
            message = f"You say too much at once. Try again in {after} s."
            raise ApiError(429, "chat_rate", message, {"Retry-After": str(after)})
        for buckets, name in found:
            buckets.take(name, 1)

    def takes_typing(self, room: str, speaker: Speaker) -> bool:
        """Whether it may be told now that somebody types. It is a hint: one too many is left out, without a word."""
        name = f"{room} {speaker.name}"
        if self._typing.wait(name, 1) or self._rooms.wait(room, 1):
            return False
        self._typing.take(name, 1)
        self._rooms.take(room, 1)
        return True


def init_app(app: Flask) -> None:
    """Read the settings."""
    app.extensions[_KEY] = Floods(app.config["SIMULCAST_CHAT_RATE"], app.config["SIMULCAST_CHAT_BURST"])


def here() -> Floods:
    """Of the current app."""
    floods: Floods = current_app.extensions[_KEY]
    return floods
