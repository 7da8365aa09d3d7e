"""``./scripts/bench``: measure, print a table, write JSON."""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from . import (
    append,
    completions,
    crowd,
    fanout,
    gone,
    hot,
    idle,
    machine,
    peers,
    process,
    publish,
    redis,
    resume,
    rows,
    tasks,
    transports,
    usage,
    websocket,
    workers,
    ws_hub,
)
from .figure import HEADER, Effort, Figure, row

_RESULTS = Path(__file__).parent / "results"
_FULL = Effort(rounds=3, seconds=3)
_QUICK = Effort(rounds=1, seconds=1)

Measure = Callable[[Effort], Iterator[Figure]]
_ALL: dict[str, Measure] = {
    "fanout": fanout.measure,
    "idle": idle.measure,
    "gone": gone.measure,
    "publish": publish.measure,
    "hot": hot.measure,
    "append": append.measure,
    "workers": workers.measure,
    "redis": redis.measure,
    "resume": resume.measure,
    "rows": rows.measure,
    "tasks": tasks.measure,
    "usage": usage.measure,
    "completions": completions.measure,
    "websocket": websocket.measure,
    "ws_hub": ws_hub.measure,
}
# Not part of a run of all: each has a table of its own.
_ALONE: dict[str, Measure] = {"transports": transports.measure, "peers": peers.measure, "crowd": crowd.measure}


def main() -> int:
    """Run the benchmarks. Return 1 if an event was lost, doubled or refused anywhere; a missed target is no failure."""
    options = _options()
    chosen = {name: (_ALL | _ALONE)[name] for name in options.names or _ALL}
    if options.only and "peers" in chosen:
        chosen["peers"] = partial(peers.measure, only=options.only)
    _prepare()
    report = {"machine": machine.describe(), "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "figures": []}
    print(HEADER)
    is_faulty = False
    for measure in chosen.values():
        for figure in measure(_QUICK if options.quick else _FULL):
            print(row(figure), flush=True)
            report["figures"].append(figure.as_json())
            is_faulty = is_faulty or bool(figure.faults)
    _write(options.name, report)
    return int(is_faulty)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure what the service costs here.")
    parser.add_argument("--quick", action="store_true", help="run one short round of each benchmark")
    names = [*_ALL, *_ALONE]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(names)}")
    parser.add_argument(
        "--only", nargs="+", choices=list(peers.PEERS), metavar="PEER", help=f"peers: {', '.join(peers.PEERS)}"
    )
    parser.add_argument("--name", default="latest", help="name of the file in benchmarks/results (latest)")
    options = parser.parse_args()
    if unknown := set(options.names) - set(names):
        parser.error(f"There is no benchmark {', '.join(sorted(unknown))}. Name some of {', '.join(names)}.")
    return options


def _prepare() -> None:
    """Allow as many open files as the system does, for 10 000 connections on each side; leave the server's core."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    process.pin(os.getpid(), process.CLIENT_CORE)


def _write(name: str, report: dict[str, object]) -> None:
    _RESULTS.mkdir(exist_ok=True)
    path = _RESULTS / f"{name}.json"
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    print(f"\nWritten to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    sys.exit(main())
