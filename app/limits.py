"""Limits: how much one may publish. Token buckets, for each user and for each address, in each worker.

A bucket fills at the rate, up to the burst; a request takes one token for each of its events, all or none.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from flask import Flask, current_app, request

from .errors import ApiError
from .extensions import simulcast

_KEY = "simulcast_limits"
# Some 200 bytes each. Who is forgotten begins with a full bucket; he was the one who had waited longest.
_MAX_BUCKETS = 10_000
_log = logging.getLogger(__name__)


class Buckets:
    """One bucket for each name; the 10 000 that were used last.

    Args:
        rate: Tokens a second.
        burst: Tokens that a bucket holds.
        clock: Monotonic seconds.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.burst = burst
        self._rate = rate
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, name: str, tokens: int) -> float:
        """Seconds until the bucket has so many; 0 if it has now, infinite if it never will. Takes none."""
        if tokens > self.burst:
            return math.inf
        return max((tokens - self._level(name)) / self._rate, 0)

    def take(self, name: str, tokens: int) -> None:
        """Take so many, which `wait` has just found there."""
        self._buckets[name] = (self._level(name) - tokens, self._clock())
        self._buckets.move_to_end(name)
        if len(self._buckets) > _MAX_BUCKETS:
            self._buckets.popitem(last=False)

    def _level(self, name: str) -> float:
        level, at = self._buckets.get(name, (self.burst, self._clock()))
        return min(level + (self._clock() - at) * self._rate, self.burst)


class PublishLimits:
    """What one app allows in this process.

    Args:
        per_user, per_address: None for no bound.
    """

    def __init__(self, per_user: Buckets | None, per_address: Buckets | None) -> None:
        self._per_user = per_user
        self._per_address = per_address
        self._has_warned = False

    def check(self, events: int, user: str, address: str) -> None:
        """Take what a request needs, from both buckets or from none. Does not switch.

        Args:
            events: How many are to be published.
            user: Empty for a grant without a name.
            address: Empty where it is not known.

        Raises:
            ApiError: 429 with ``Retry-After``, or 413 for more than ever fit.
        """
        asked = []
        if self._per_user is not None and user:
            asked.append((self._per_user, user, "user"))
        if self._per_address is not None:
            if address:
                asked.append((self._per_address, _network_of(address), "address"))
            elif not self._has_warned:
                self._has_warned = True
                _log.warning(
                    "A request has no address, so SIMULCAST_PUBLISH_RATE_PER_ADDRESS does nothing. Behind a unix socket "
                    "the proxy must send X-Forwarded-For, and SIMULCAST_PROXY_HOPS must say how many proxies there are."
                )
        for buckets, name, what in asked:
            seconds = buckets.wait(name, events)
            if seconds == math.inf:
                raise ApiError(
                    413,
                    "publish_burst",
                    f"{events} events at once are more than one {what} may ever publish. Send at most {buckets.burst:g}.",
                )
            if seconds > 0:
                after = math.ceil(seconds)
                raise ApiError(
                    429,
                    "publish_rate",
                    f"This {what} publishes too fast. Try again in {after} s, or send fewer events.",
                    {"Retry-After": str(after)},
                )
        for buckets, name, _ in asked:
            buckets.take(name, events)


def init_app(app: Flask) -> None:
    """Read the settings."""
    rate, per_address = app.config["SIMULCAST_PUBLISH_RATE"], app.config["SIMULCAST_PUBLISH_RATE_PER_ADDRESS"]
    burst = app.config["SIMULCAST_PUBLISH_BURST"]
    app.extensions[_KEY] = PublishLimits(
        Buckets(rate, burst) if rate else None, Buckets(per_address, burst) if per_address else None
    )


def check_publish(events: int) -> None:
    """Whether the current request may publish so many events now: to be called once, right before it does.

    Raises:
        ApiError: 429 ``publish_rate`` with an honest ``Retry-After``; 413 ``publish_burst``.
    """
    limits: PublishLimits = current_app.extensions[_KEY]
    limits.check(events, simulcast.grant().user, request.remote_addr or "")


def _network_of(address: str) -> str:
    """Whoever has one IPv6 address has the 2⁶⁴ beside it (RFC 6177)."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address
