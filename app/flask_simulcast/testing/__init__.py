"""Tools for the tests of apps, of clients and of brokers.

For an app: `listen` to a stream of Flask's test client, `Recorder` and `memory_log`, which are the fixtures ``published`` and
``simulcast_memory`` of the pytest plugin. For a client of your own: `check_resume`. For a broker: `BrokerContract`.

Nothing here imports pytest but `plugin`: `BrokerContract` is a plain class that pytest collects through a subclass.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..encoding.sse_reader import SSEEvent, SSEReader, read_sse
    from .clock import FakeClock
    from .contract import BrokerContract
    from .listening import Listening, listen
    from .memory_log import memory_log
    from .recorder import Published, Recorder
    from .resume import check_resume

__all__ = [
    "BrokerContract",
    "FakeClock",
    "Listening",
    "Published",
    "Recorder",
    "SSEEvent",
    "SSEReader",
    "check_resume",
    "listen",
    "memory_log",
    "read_sse",
]

# Each is imported at its first use: pytest loads the plugin, and so this package, in every suite of the environment.
_LATER = {
    "BrokerContract": ".contract",
    "FakeClock": ".clock",
    "Listening": ".listening",
    "Published": ".recorder",
    "Recorder": ".recorder",
    "SSEEvent": "..encoding.sse_reader",
    "SSEReader": "..encoding.sse_reader",
    "check_resume": ".resume",
    "listen": ".listening",
    "memory_log": ".memory_log",
    "read_sse": "..encoding.sse_reader",
}

if not TYPE_CHECKING:  # a type checker reads the imports above

    def __getattr__(name: str) -> object:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = getattr(import_module(_LATER[name], __name__), name)
        return globals()[name]
