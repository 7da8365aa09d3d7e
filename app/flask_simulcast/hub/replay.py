"""Replay: where a listener starts: after what it has, or with the newest events."""

from __future__ import annotations

from ..brokers.base import Broker
from ..event import RUN_PREFIX, Position
from ..settings import Settings
from .catchup import CatchUp
from .single_flight import SingleFlight


class Replay:
    """Finds the start of a listener.

    Args:
        broker: Knows the newest events of each channel.
        single_flight: Reads that callers share.
        catch_up: Verdicts on a start.
        settings: Each channel's default.
    """

    def __init__(self, broker: Broker, single_flight: SingleFlight, catch_up: CatchUp, settings: Settings) -> None:
        self._broker = broker
        self._single_flight = single_flight
        self._catch_up = catch_up
        self._settings = settings

    def start(self, channels: tuple[str, ...], count: int | None) -> Position | None:
        """Return the start of a new listener that gets the newest events first; None for the hub's position. May switch.

        Args:
            count: Number of events; None for each channel's default, and for all events of a run. All channels start at one position, so the listener also
                gets later events of the other channels. If one of them was trimmed after that position, the replay is shorter.

        Raises:
            BrokerUnavailableError: The log can't be read.
        """
        if count is None and len(channels) == 1 and channels[0].startswith(RUN_PREFIX):
            state = self._single_flight.alone(lambda: self._broker.run(channels[0].removeprefix(RUN_PREFIX)))
            return None if state is None else state.begin
        if count is not None:
            return self._newest(channels, count) if count > 0 else None
        wanted = [(name, self._settings.retention(name).replay) for name in channels]
        starts = [self._newest((name,), replay) for name, replay in wanted if replay]
        if not starts:
            return None
        first = min(starts)
        if len(starts) == len(channels) == 1 or self._catch_up.verdict(first, channels).reason is None:
            return first
        return max(starts)

    def can_resume(self, resume: str | None, channels: tuple[str, ...]) -> bool:
        """Tell whether a client with this position gets exactly the events that it missed, and needs no snapshot. May switch.

        Raises:
            BrokerUnavailableError: The log can't be read.
        """
        position = Position.parse(resume) if resume is not None else None
        return position is not None and self._catch_up.verdict(position, channels).reason is None

    def _newest(self, channels: tuple[str, ...], count: int) -> Position:
        return self._single_flight.fetch(("newest", channels, count), lambda: self._broker.newest(channels, count))
