"""Sender: what a connection sends. Most clients take everything at once; an `Output` is there only while bytes wait."""

from __future__ import annotations

from abc import abstractmethod

from ..output import Output
from ..timer import Sleeper
from .limits import Limits
from .wire import OwnWire, Wire


class Sender(Sleeper):
    """The base of `Lifecycle`. Nothing here switches.

    Args:
        wire: The wire to write to.
        limits: Bound of the bytes that can wait.
    """

    __slots__ = ("_limits", "_output", "_wire")

    def __init__(self, wire: Wire | OwnWire, limits: Limits) -> None:
        super().__init__()
        self._wire = wire
        self._limits = limits
        self._output: Output | None = None

    def _put(self, data: bytes) -> None:
        """Send bytes after those that wait."""
        if self._output is None:
            self._send_now(data)
        else:
            self._output.put(data)

    def _put_control(self, data: bytes) -> None:
        """Send a ping or pong before those that wait."""
        if self._output is None:
            self._send_now(data)
        else:
            self._output.put_control(data)

    def _send_now(self, data: bytes) -> None:
        try:
            sent = self._wire.send(data)
        except OSError:
            self._vanish()
            return
        if sent < len(data):
            self._output = Output(self._wire, self._limits.queue_bytes, on_moved=self._moved, on_broken=self._vanish)
            self._output.put(memoryview(data)[sent:])

    def _moved(self) -> None:
        if self._output is not None and self._output.is_empty:
            self._output.close()
            self._output = None
        self._output_moved()

    @property
    def _has_sent_all(self) -> bool:
        return self._output is None or self._output.is_empty

    def _stuck_at(self) -> float:
        """Return the monotonic seconds at which the client will have read too little; infinity while nothing waits."""
        return float("inf") if self._output is None else self._output.stuck_at(self._limits.stall_seconds)

    @abstractmethod
    def _output_moved(self) -> None:
        """Note that bytes begin to wait, that the client has taken a piece of them, or all."""

    @abstractmethod
    def _vanish(self) -> None:
        """End everything: the connection is broken."""
