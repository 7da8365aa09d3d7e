"""Tools for the tests of this package and of apps: a clock that stands still, a reader of event streams, a broker contract.

Nothing here imports pytest: `BrokerContract` is a plain class that pytest collects through a subclass.
"""

from __future__ import annotations

from ..encoding.sse_reader import SSEEvent, SSEReader, read_sse
from .clock import FakeClock
from .contract import BrokerContract

__all__ = ["BrokerContract", "FakeClock", "SSEEvent", "SSEReader", "read_sse"]
