"""A process that appends to a log as fast as it can, and maintains it as a worker does.

``python -m benchmarks.appender <url> <seconds> <batch> <greenlets> <core>`` writes one JSON object.
"""

from gevent import monkey

if not monkey.is_module_patched("socket"):
    monkey.patch_all()

import json
import os
import sys
import time

import gevent

from app.flask_simulcast.brokers import connect
from app.flask_simulcast.brokers.base import Broker
from app.flask_simulcast.event import Draft
from app.flask_simulcast.loop import Breather
from app.flask_simulcast.settings import Settings

from . import process
from .job import percentiles_ms
from .publisher import payload

_MAINTAIN_SECONDS = 0.5
_BREATHE_SECONDS = 0.005


def append(broker: Broker, seconds: float, batch: int, greenlets: int) -> list[int]:
    """Append for ``seconds`` from several greenlets. Return the duration of each append, in ns."""
    drafts = [Draft("bench", "message", payload(0, 0).decode())] * batch
    breather = Breather(_BREATHE_SECONDS)
    took: list[int] = []
    deadline = time.monotonic() + seconds

    def work() -> None:
        while time.monotonic() < deadline:
            start = time.monotonic_ns()
            broker.append(drafts)
            took.append(time.monotonic_ns() - start)
            breather.breathe()

    if greenlets == 1:
        work()
    else:
        gevent.joinall([gevent.spawn(work) for _ in range(greenlets)], raise_error=True)
    return took


def maintain(broker: Broker) -> None:
    """Maintain the log periodically, as a hub does."""
    while True:
        broker.maintain()
        gevent.sleep(_MAINTAIN_SECONDS)


def main() -> None:
    """Warm up, measure, report."""
    url, seconds, batch, greenlets, core = sys.argv[1], float(sys.argv[2]), *map(int, sys.argv[3:])
    process.pin(os.getpid(), core)
    broker = connect(Settings(broker_url=url))
    gevent.spawn(maintain, broker)
    append(broker, 0.5, batch, greenlets)
    cpu, start = time.process_time(), time.monotonic()
    took = append(broker, seconds, batch, greenlets)
    report = {
        "events": len(took) * batch,
        "cpu_seconds": time.process_time() - cpu,
        "seconds": time.monotonic() - start,
        "append_max_ms": max(took) / 1e6,
    }
    report["append_p50_ms"], report["append_p99_ms"] = percentiles_ms(took)
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
