"""Run: what a producer has in its hands, and how a producer is called."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Generator, Mapping
from functools import cached_property
from typing import Any

from .data import Default, byte_length, encode_data
from .errors import EventTooLargeError, EventTypeError, RunEndedError, RunFailedError
from .event import Draft, check_type
from .hub.live_run import LiveRun
from .hub.runner import Runner
from .publisher import checked_drafts
from .run_state import COMPLETE, ENDINGS
from .settings import Settings

_log = logging.getLogger("flask_simulcast")


class Run:
    """A run, for its producer.

    Attributes:
        id: Its id.
        user: Its user; empty for none.
        channel: Channel of its events, ``run:<id>``.
    """

    def __init__(self, runner: Runner, live: LiveRun, settings: Settings, default: Default) -> None:
        self.id = live.id
        self.user = live.state.user
        self.channel = live.state.channel
        self._runner = runner
        self._live = live
        self._settings = settings
        self._default = default

    @cached_property
    def meta(self) -> Mapping[str, Any]:
        """The data that it was started with."""
        meta: Mapping[str, Any] = json.loads(self._live.state.meta)
        return meta

    @property
    def is_cancelled(self) -> bool:
        """Whether it has ended: it was cancelled, in any worker, at most a second ago; its time is over; or the worker stops."""
        return self._live.ended.is_set()

    def check(self) -> None:
        """Raise where the run has ended, so that a producer that calls this between its steps stops there.

        Raises:
            RunEndedError: It has.
        """
        if self.is_cancelled:
            raise RunEndedError(self._live.ending)

    def sleep(self, seconds: float) -> None:
        """Wait, but not beyond the end of the run. Switches.

        Raises:
            RunEndedError: The run has ended.
        """
        self._live.ended.wait(seconds)
        self.check()

    def publish(self, data: object, *, type: str = "message", raw: bool = False) -> None:
        """Append an event to the run. It leaves at once, or with others if the log is busy; while 256 KiB wait, so does this.
        An event that was accepted is stored, or the run ends without it. May switch.

        Args:
            data, type, raw: As in `Publishing.publish`. The types ``complete``, ``failed`` and ``cancelled`` are for endings.

        Raises:
            RunEndedError: The run has ended.
            InvalidEventError: Type or data is invalid.
        """
        if check_type(type) in ENDINGS:
            raise EventTypeError(f"{type} ends a run. Return from the producer, or choose another type.")
        self._runner.put(self._live, self._draft(data, type, raw))

    def _draft(self, data: object, type: str, raw: bool = False) -> Draft:
        return checked_drafts((self.channel,), data, type, None, self._settings, self._default, raw)[0]

    def produce(self, producer: Callable[[Run], object]) -> None:
        """Call a producer, and end the run with what it returns or raises. Switches."""
        try:
            produced = producer(self)
            result = self._publish_each(produced) if isinstance(produced, Generator) else produced
            draft = self._draft(result, COMPLETE)
        except RunFailedError as error:
            self._runner.fail(self._live, error.code, str(error))
        except BaseException as error:  # also a Timeout of gevent or an exit: a run must not stay without an end
            if not (self.is_cancelled and isinstance(error, RunEndedError)):
                _log.exception("The producer of run %s raised. Its listeners are told only that it failed.", self.id)
            self.fail()
        else:
            self._runner.complete(self._live, draft)

    def fail(self) -> None:
        """End the run as ``failed``, with a general text. Switches."""
        self._runner.fail(self._live, "failed", "This failed on the server. Try again later.")

    def _publish_each(self, produced: Generator[object, None, object]) -> object:
        """Publish what a generator yields; return what it returns."""
        try:
            while True:
                try:
                    data = next(produced)
                except StopIteration as stop:
                    return stop.value
                self.publish(data)
        finally:
            produced.close()


def meta_text(meta: Mapping[str, Any] | None, settings: Settings, default: Default) -> str:
    """Return the JSON text of a run's meta.

    Raises:
        InvalidEventError: It is too long, or not JSON data.
    """
    text = encode_data(dict(meta or {}), default)
    if byte_length(text) > settings.max_event_bytes:
        raise EventTooLargeError(
            f"The meta of a run has {byte_length(text)} bytes, and {settings.max_event_bytes} are allowed. Store what is large "
            "elsewhere, and put its name there."
        )
    return text
