"""Patience: takes a listener's steps of catching up through an outage of the log."""

from __future__ import annotations

import logging
import random
import time

from ..close_reason import CloseReason
from ..errors import BrokerError
from ..listener import Listener
from ..settings import Settings
from .catchup import CatchUp
from .pump import Pump

# A listener that can't read the log retries after this time, spread from half to one and a half of it.
_RETRY_SECONDS = 1.0

_log = logging.getLogger("flask_simulcast")


class Patience:
    """Waits while the log can't be read, and closes a listener that has waited too long.

    Args:
        catch_up: Makes the steps.
        pump: Whether it is known that the log can't be read.
        settings: How long a listener waits, and how often it gets a comment.
    """

    def __init__(self, catch_up: CatchUp, pump: Pump, settings: Settings) -> None:
        self._catch_up = catch_up
        self._pump = pump
        self._heartbeat_seconds = settings.heartbeat_seconds
        self._stall_seconds = settings.stall_seconds

    def step(self, listener: Listener) -> bytes:
        """Make one step of catching up; if the log can't be read, wait. Return a comment after a long silence. Switches.

        An outage of the log closes a listener only after ``SIMULCAST_STALL_SECONDS``: perhaps another worker can read it.
        """
        chunk = b""
        try:
            if listener.unread_since is not None and self._pump.is_lost:
                self._wait(listener)  # reads of thousands of listeners would not end the outage sooner
            else:
                chunk = self._catch_up.step(listener)
                listener.has_read()
        except BrokerError as error:
            _log.debug("A listener can't read on: %s", error)
            self._wait(listener)
        is_quiet = time.monotonic() - listener.since >= self._heartbeat_seconds
        return listener.encoding.comment() if is_quiet and not chunk and not listener.is_live else chunk

    def _wait(self, listener: Listener) -> None:
        if listener.could_not_read() >= self._stall_seconds:
            listener.close(CloseReason.BROKER_LOST)
        else:
            listener.rest(_RETRY_SECONDS * random.uniform(0.5, 1.5))
