"""Grown: the channels that might have to be trimmed. The maintainer looks at a channel once it can have more than its bounds, not
at every new event: a look at its newest 1000 events takes 66 µs.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...event import first_key_of
from ...settings import Settings
from ..base import Clock
from .trimming import Trimming

# A channel may exceed its count by this share before a look, so that there is one look for many events.
_SLACK = 8
# Channels that are remembered, in about 25 MB. Beyond that all are forgotten, and each takes one look more.
_REMEMBERED = 100_000
# Seconds of looks in one round. The other channels wait for the next one.
_LOOK_SECONDS = 0.5


class _Known:
    """What is remembered of a channel.

    Attributes:
        came: Number of events since the last look.
        oldest: No event of it has a lower key.
    """

    __slots__ = ("came", "oldest")

    def __init__(self, oldest: int) -> None:
        self.came = 0
        self.oldest = oldest


class Grown:
    """What the maintainer remembers of channels. If another process trims meanwhile, a look comes too early, never too late.

    Args:
        trimming: The statements that look.
        settings: The history bounds.
        clock: The wall clock for ages, and the monotonic clock.

    Attributes:
        surplus: The channels that must be trimmed, each with the key up to which. The caller removes
            those that it has trimmed.
    """

    def __init__(self, trimming: Trimming, settings: Settings, clock: Clock) -> None:
        self._trimming = trimming
        self._settings = settings
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._waiting: dict[str, None] = {}
        self.surplus: dict[str, int] = {}

    def add(self, grown: Iterable[tuple[str, int]]) -> None:
        """Note how many events came to channels. Those that can have too many, or too old ones, wait for a look."""
        now_ms = self._clock.time_ms()
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        for channel, count in grown:
            known = self._known.get(channel)
            if known is not None:
                known.came += count
                keep, seconds, _ = self._settings.retention(channel)
                if known.came <= keep // _SLACK and known.oldest >= _oldest_key(now_ms, seconds):
                    continue
            self._waiting[channel] = None

    def forget(self, channels: Iterable[str]) -> None:
        """Forget what is remembered of these channels: they wait for a look, whether they have grown or not."""
        for channel in channels:
            self._known.pop(channel, None)
            self._waiting[channel] = None

    def look(self, ceiling: int) -> None:
        """Look at the channels that wait for it, for a bounded time. Above the ceiling nothing is surplus."""
        deadline = self._clock.monotonic() + _LOOK_SECONDS
        while self._waiting and self._clock.monotonic() <= deadline:
            channel = next(iter(self._waiting))
            self._look_at(channel, ceiling)
            del self._waiting[channel]

    def _look_at(self, channel: str, ceiling: int) -> None:
        keep, seconds, _ = self._settings.retention(channel)
        up_to = _oldest_key(self._clock.time_ms(), seconds) - 1
        oldest = self._trimming.oldest_of(channel)
        known = self._known.get(channel)
        if known is None or known.came > keep // _SLACK:
            up_to = max(up_to, self._trimming.newest_but(channel, keep))
            known = self._known[channel] = _Known(oldest)
        up_to = min(up_to, ceiling)
        if oldest <= up_to:
            self.surplus[channel] = up_to
        known.oldest = max(oldest, up_to + 1)


def _oldest_key(now_ms: int, seconds: float) -> int:
    """Return the lowest key that an event of at most this age can have."""
    return first_key_of(now_ms - round(seconds * 1000))
