"""Limits: how much one client may publish and read, and how many tickets it may get. Token buckets, in each worker.

A bucket fills at the rate, up to the burst; a request takes one token for each of its events, all or none. The cost of a
read is known only after it, so a read can leave a bucket below zero: then the next read waits.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import NamedTuple

from flask import Flask, Request

from ..extensions import simulcast
from ..flask_simulcast import address_of
from ..identity.sender import HOLDER, UNKNOWN, current_sender
from .errors import ApiError
from .here import this_app, this_request

_KEY = "simulcast_limits"
# Some 200 bytes each. The least recently used one is evicted first; its user starts over with a full bucket.
_MAX_BUCKETS = 10_000
# Seconds' worth of events, and of tickets, that may come at once: a batch of 1000 events at the default rate.
BURST_SECONDS = 10
# Seconds' worth of reads that may come at once: usually a channel's whole history.
_READ_BURST_SECONDS = 4
# For one user. A page needs one for each connect; the log remembers a spent one until its grant ends.
TICKETS_PER_SECOND = 10


class Buckets:
    """One bucket for each name; the 10 000 that were used last.

    Args:
        rate: Tokens a second.
        burst: Tokens that a bucket holds.
        clock: Monotonic seconds.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.burst = burst
        self.rate = rate
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, name: str, tokens: int) -> float:
        """Return the seconds until the bucket has ``tokens``; 0 if it has now, infinite if it never will. Takes none."""
        if tokens > self.burst:
            return math.inf
        return max((tokens - self.level(name)) / self.rate, 0)

    def take(self, name: str, tokens: int) -> None:
        """Take tokens that `wait` has just found."""
        self._buckets[name] = (self.level(name) - tokens, self._clock())
        self._buckets.move_to_end(name)
        if len(self._buckets) > _MAX_BUCKETS:
            self._buckets.popitem(last=False)

    def level(self, name: str) -> float:
        """Return the tokens that the bucket has now."""
        level, at = self._buckets.get(name, (self.burst, self._clock()))
        return min(level + (self._clock() - at) * self.rate, self.burst)


def take_from_all(asked: Collection[tuple[Buckets, str]], tokens: int = 1) -> float:
    """Take tokens from each of these buckets, or from none. Does not switch.

    Returns:
        0 if they were taken; else the seconds until each bucket has them, infinite if one never will.
    """
    seconds = max((buckets.wait(name, tokens) for buckets, name in asked), default=0.0)
    if not seconds:
        for buckets, name in asked:
            buckets.take(name, tokens)
    return seconds


class PublishLimits:
    """What one app allows in this process.

    Args:
        per_user, per_address: None for no bound.
    """

    def __init__(self, per_user: Buckets | None, per_address: Buckets | None) -> None:
        self._per_user = per_user
        self.per_address = per_address

    def check(self, events: int, user: str, address: str) -> None:
        """Take what a request needs, from both buckets or from none. Does not switch.

        Args:
            events: Number of events to publish.
            user: Empty for a grant without a name.
            address: Empty where it is not known.

        Raises:
            ApiError: 429 with ``Retry-After``, or 413 for more than ever fit.
        """
        asked = []
        if self._per_user is not None and user:
            asked.append((self._per_user, user))
        if self.per_address is not None and address:
            asked.append((self.per_address, address))
        seconds = take_from_all(asked, events)
        if seconds == math.inf:
            most = min(buckets.burst for buckets, _ in asked)
            raise ApiError(
                413,
                "publish_burst",
                f"{events} events at once are more than you may ever publish. Send at most {most:g}.",
            )
        if seconds > 0:
            raise too_fast("publish_rate", "You publish too fast", seconds)


class _Limits(NamedTuple):
    """Of one app in this process."""

    publish: PublishLimits
    tickets: Buckets
    reads: Buckets | None


def init_app(app: Flask) -> None:
    """Read the settings."""
    config = app.config
    per_user, per_address = config["SIMULCAST_PUBLISH_RATE"], config["SIMULCAST_PUBLISH_RATE_PER_ADDRESS"]
    app.extensions[_KEY] = _Limits(
        PublishLimits(_buckets(per_user, BURST_SECONDS), _buckets(per_address, BURST_SECONDS)),
        Buckets(TICKETS_PER_SECOND, BURST_SECONDS * TICKETS_PER_SECOND),
        _buckets(config["SIMULCAST_READ_RATE"], _READ_BURST_SECONDS),
    )


def _buckets(rate: int, burst_seconds: int) -> Buckets | None:
    """Return buckets that are full at the beginning; None for no limit."""
    return Buckets(rate, burst_seconds * rate) if rate else None


def check_publish(events: int, of: Request | None = None) -> None:
    """Check that a request may publish a number of events now. Call it once, right before the publish.

    Args:
        of: Defaults to the current request.

    Raises:
        ApiError: 429 ``publish_rate`` with an honest ``Retry-After``; 413 ``publish_burst``.
    """
    limits = _here().publish
    address = (
        "" if limits.per_address is None else address_of(of or this_request(), "SIMULCAST_PUBLISH_RATE_PER_ADDRESS")
    )
    limits.check(events, simulcast.grant().user, address)


def check_ticket() -> None:
    """Check that the current request may have a ticket now. The log keeps a spent ticket until its grant ends, so their number
    must be limited.

    Raises:
        ApiError: 429 ``ticket_rate`` with an honest ``Retry-After``.
    """
    grant, buckets = simulcast.grant(), _here().tickets
    name = grant.user or grant.token_id
    if not name:
        return
    seconds = take_from_all([(buckets, name)])
    if seconds > 0:
        raise too_fast("ticket_rate", "These are too many tickets", seconds)


def check_read() -> None:
    """Check that the client of the current request may read a page now.

    Raises:
        ApiError: 429 ``read_rate`` with ``Retry-After``.
    """
    buckets, name = _here().reads, _reader()
    seconds = buckets.wait(name, 1) if buckets is not None and name else 0
    if seconds > 0:
        raise too_fast("read_rate", "You read too much at once", seconds)


def count_read(size: int) -> None:
    """Count the cost of a page that was read, in bytes."""
    buckets, name = _here().reads, _reader()
    if buckets is not None and name:
        buckets.take(name, size)


def _reader() -> str:
    """Return the sender that is limited; empty for the publish key and for an unknown address."""
    name = current_sender()
    return "" if name in (HOLDER, UNKNOWN) else name


def too_fast(code: str, what: str, seconds: float) -> ApiError:
    """Return a 429 that says when to try again.

    Args:
        seconds: As `take_from_all` returned them.
    """
    after = math.ceil(seconds)
    return ApiError(429, code, f"{what}. Try again in {after} s.", {"Retry-After": str(after)})


def _here() -> _Limits:
    limits: _Limits = this_app().extensions[_KEY]
    return limits
