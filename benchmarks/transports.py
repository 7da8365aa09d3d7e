"""Each transport beside the others: latency, what a delivery costs, the memory of a listener, and round trips of gRPC. And stock
grpcio's server.

A run gives the table of docs/transports.md: ``./scripts/bench transports --name transports``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from . import echo
from .fanout import capacity_figure, latency_figures, rounds
from .figure import Effort, Figure, Target, at_most, faults_of, rounds_of
from .job import Job, run
from .server import Server, free_port, serve
from .wires import SUBSCRIBE

_LISTENERS = 1000
_RATE = 20  # events a second: each is written on its own, and no core is full
_STOCK_RATE = 2  # more would fill its core
_WINDOW = 8
_IDLE = 5000  # of the service; memory that a worker has free already takes a part of the first thousand
_FIRST = 10  # listeners whose memory does not count: that of what they load and open
_STREAM = "/api/v1/stream?channel=bench"


class Transport(NamedTuple):
    """What differs between them.

    Attributes:
        label: What the table calls it.
        name: In `wires`.
        path: What a listener asks for.
        cpu_target: Of a delivery.
        memory_target: Of a listener, in KiB.
        rate: Events a second, for the latency.
        idle: How many listeners wait, for their memory.
    """

    label: str
    name: str
    path: str
    cpu_target: Target | None = None
    memory_target: Target | None = None
    rate: float = _RATE
    idle: int = _IDLE


_TRANSPORTS = (
    Transport("SSE", "sse", _STREAM),
    Transport("NDJSON", "ndjson", _STREAM),
    Transport("WebSocket", "websocket", "/ws?channel=bench"),
    Transport("Connect", "connect", SUBSCRIBE),
    Transport("gRPC-Web", "grpc-web", SUBSCRIBE),
    Transport("gRPC", "grpc", SUBSCRIBE, at_most(6), at_most(2)),
)


def measure(effort: Effort) -> Iterator[Figure]:
    """Measure each transport on a server of its own, because the resident memory of a process does not shrink."""
    for transport in _TRANSPORTS:
        yield from _of(transport, effort, serve(rpc=1, http2=1), publish_path="/api/v1/events")
    with serve(rpc=1, http2=1, websocket_rate=0, publish_rate=0) as server:
        yield from echo.measure("gRPC", server, server.port, effort, has_targets=True)
    port = free_port()
    stock = Transport("grpcio's server", "grpc", SUBSCRIBE, rate=_STOCK_RATE, idle=_LISTENERS)
    yield from _of(stock, effort, _serve_stock(port), port, publish_path="/publish", channel="")
    with _serve_stock(port) as server:
        yield from echo.measure(stock.label, server, port, effort)


def _serve_stock(port: int) -> AbstractContextManager[Server]:
    return serve("benchmarks.grpcio_app:app", GRPC_PORT=port)


def _of(
    transport: Transport, effort: Effort, served: AbstractContextManager[Server], port: int = 0, **publishing: Any
) -> Iterator[Figure]:
    listening = {"transport": transport.name, "listen_path": transport.path}
    with served as server:
        ports = [port or server.port]
        for listeners in (_FIRST, transport.idle):
            idle = run(Job(ports, server.workers, listeners, **listening))
        options = {"ports": ports, "publish_port": server.port, **listening, **publishing}
        at_rate = rounds(server, effort, _LISTENERS, rate=transport.rate, **options)
        at_most_rate = rounds(server, effort, _LISTENERS, window=_WINDOW, **options)
    yield from latency_figures(
        f"{transport.label}: {transport.rate:g} events/s", at_rate, cpu_target=transport.cpu_target
    )
    yield capacity_figure(f"{transport.label}: as fast as it can", at_most_rate)
    yield Figure(
        f"{transport.label}: an idle listener",
        idle.resident_bytes / transport.idle / 1024,
        "KiB resident",
        transport.memory_target,
        idle.connect_cpu_seconds / transport.idle * 1e6,
        "connect",
        faults=faults_of([idle]),
        rounds=rounds_of([idle]),
    )
