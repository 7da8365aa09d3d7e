"""Round trips of gRPC, one after another on one connection: a ping and a publish on a call of ``Connect``, and unary publishes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from app.flask_simulcast.proto.simulcast.v1 import stream_pb2 as pb

from . import process
from .caller import Caller
from .figure import Effort, Figure, Target, at_most
from .job import percentiles_ms
from .server import Server
from .wires import CONNECT, PUBLISH

_EVENT = pb.PublishRequest(channel="echo", json='"' + "x" * 98 + '"')
_WARM_UP = 50  # round trips
_TARGET = at_most(0.6)

RoundTrip = Callable[[Caller], object]


def measure(label: str, server: Server, port: int, effort: Effort, *, has_targets: bool = False) -> Iterator[Figure]:
    """Measure each kind of round trip.

    Args:
        label: Of the server, in the table.
        port: Where it speaks gRPC.
        has_targets: Whether the round trips of a call have theirs.
    """
    target = _TARGET if has_targets else None
    on_a_call = pb.ConnectRequest(ping=pb.Ping()), pb.ConnectRequest(publish=_EVENT)
    for what, asked in zip(("a ping", "a publish"), on_a_call, strict=True):
        with Caller(port, server.key) as caller:
            caller.begin(CONNECT, None)
            caller.say(asked)
            while not pb.ConnectResponse.FromString(caller.heard()).HasField("reply"):
                pass  # the first message is none
            yield _figure(f"{label}: {what} on a call, p50", caller, _on_its_call(asked), server, effort, target)
    with Caller(port, server.key) as caller:
        yield _figure(f"{label}: a unary publish, p50", caller, _unary, server, effort, None)


def _on_its_call(asked: pb.ConnectRequest) -> RoundTrip:
    def round_trip(caller: Caller) -> None:
        caller.say(asked)
        reply = pb.ConnectResponse.FromString(caller.heard()).reply
        if reply.WhichOneof("result") not in ("pong", "published"):
            raise RuntimeError(f"The server answered {reply}")

    return round_trip


def _unary(caller: Caller) -> None:
    caller.begin(PUBLISH, _EVENT)
    caller.heard()
    caller.finish()


def _figure(
    name: str, caller: Caller, round_trip: RoundTrip, server: Server, effort: Effort, target: Target | None
) -> Figure:
    for _ in range(_WARM_UP):
        round_trip(caller)
    rounds = sorted(_round(caller, round_trip, server, effort.seconds) for _ in range(effort.rounds))
    p50, cpu_us = rounds[len(rounds) // 2]
    return Figure(name, p50, "ms", target, cpu_us, "round trip")


def _round(caller: Caller, round_trip: RoundTrip, server: Server, seconds: float) -> tuple[float, float]:
    """Return p50 in ms, and µs of the server's CPU a round trip."""
    took_ns: list[int] = []
    before = process.cpu_seconds(server.workers)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic_ns()
        round_trip(caller)
        took_ns.append(time.monotonic_ns() - began)
    cpu_seconds = process.cpu_seconds(server.workers) - before
    return percentiles_ms(took_ns)[0], cpu_seconds / len(took_ns) * 1e6
