"""A process that reads a log from a position on, as a worker's pump does.

``python -m benchmarks.follower <url> <position> <events> <core>`` writes one JSON object when it has read the events.
"""

from gevent import monkey

if not monkey.is_module_patched("socket"):
    monkey.patch_all()

import json
import os
import sys
import time

from app.flask_simulcast.brokers import connect
from app.flask_simulcast.event import Position
from app.flask_simulcast.settings import Settings

from . import process


def main() -> None:
    """Read, and report."""
    url, start, events, core = sys.argv[1], Position.parse(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    assert start is not None
    process.pin(os.getpid(), core)
    broker = connect(Settings(broker_url=url))
    position, seen, passed = start, 0, False
    broker.read(broker.head())  # connected
    cpu, began = time.process_time(), time.monotonic()
    while seen < events:
        batch = broker.read(position)
        passed = passed or batch.passed
        if batch.events:
            seen += len(batch.events)
            position = batch.events[-1].position
        broker.wait(0.25)
    report = {
        "events": seen,
        "cpu_seconds": time.process_time() - cpu,
        "seconds": time.monotonic() - began,
        "passed": passed,
    }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
