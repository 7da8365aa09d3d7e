"""Subscriptions by gRPC that come, go, are cut and stay, for an hour: ``scripts/nightly``. Nothing may grow.

``python -m tests.tools.rpc_soak 3600`` prints what the worker holds, and ends with 1 if it grew, or if an event was lost.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from app.flask_simulcast.proto.simulcast.v1 import stream_pb2 as pb
from tests.tools.inspection import inspect, resident_bytes
from tests.tools.relay import CuttingRelay
from tests.tools.rpc import SERVICE, Listens
from tests.tools.serving import BEARER, Server, serve, wait_until

_STAYING = 50
_COMING = 20  # on each of two connections, in each round
_EVENTS = 20  # in each round, by each way to publish
_RING = 12_000  # events that the hub keeps at most, and some more: it must be full before memory is compared
_LINES = 20
_LEAST = 5  # rounds in a third
_FEW = 2  # connections that are just being closed
_MOST_MIB = 4.0  # that the memory of the last third may be above the first
_METADATA = [("authorization", BEARER["Authorization"])]


class Sample(NamedTuple):
    """What the worker holds between two rounds."""

    listeners: int
    descriptors: int
    greenlets: int
    mib: float


class Calls:
    """The calls of one connection. Use as a context manager."""

    def __init__(self, server: Listens) -> None:
        self._connection = grpc.insecure_channel(
            f"127.0.0.1:{server.port}", [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 100)]
        )
        self.publish = self._connection.unary_unary(
            f"{SERVICE}Publish", pb.PublishRequest.SerializeToString, pb.PublishResponse.FromString
        )
        self.publish_stream = self._connection.stream_unary(
            f"{SERVICE}PublishStream", pb.PublishRequest.SerializeToString, pb.PublishStreamResponse.FromString
        )
        self.subscribe = self._connection.unary_stream(
            f"{SERVICE}Subscribe", pb.SubscribeRequest.SerializeToString, pb.SubscribeResponse.FromString
        )

    def __enter__(self) -> Calls:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


class Staying(threading.Thread):
    """A listener that stays, and reads every event.

    Attributes:
        next: Number of the event that comes next.
        fault: What came instead.
    """

    def __init__(self, calls: Calls) -> None:
        super().__init__(daemon=True)
        self._call = calls.subscribe(pb.SubscribeRequest(channels=["soak"]))
        next(self._call)
        self.next = 0
        self.fault = ""

    def run(self) -> None:
        try:
            for message in self._call:
                if message.HasField("event"):
                    if message.event.json != str(self.next):
                        self.fault = self.fault or f"{message.event.json} came instead of {self.next}"
                    self.next += 1
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.CANCELLED:
                self.fault = self.fault or str(error)


def rounds(server: Server, seconds: float) -> Iterator[Sample]:
    """Let calls come and go for this time. Yields what the worker holds after each round.

    Raises:
        AssertionError: An event was lost, doubled or misordered.
    """
    numbers = itertools.count()
    until = time.monotonic() + seconds
    with Calls(server) as calls, CuttingRelay(server.port, random.Random(16), 64 << 10) as relay:
        kept = (pb.PublishRequest(channel="before", json="0") for _ in range(_RING))
        calls.publish_stream(kept, metadata=_METADATA)
        staying = [Staying(calls) for _ in range(_STAYING)]
        for listener in staying:
            listener.start()
        while time.monotonic() < until:
            _come_and_go(server, relay, lambda: _publish(calls, numbers))
            wait_until(lambda: inspect(server)["listeners"] == _STAYING, 30, "the others to be gone")
            figures = inspect(server)
            mib = resident_bytes(server.workers[0]) / (1 << 20)
            yield Sample(figures["listeners"], figures["descriptors"], figures["greenlets"], mib)
        published = next(numbers)
        for listener in staying:
            wait_until(lambda one=listener: one.next >= published or one.fault, 30, "all events to come")
            assert not listener.fault, listener.fault


def _come_and_go(server: Server, relay: CuttingRelay, publish: Any) -> None:
    """Begin calls on a connection of their own, and on one that is cut at a random byte; end them in each way."""
    with Calls(server) as direct, Calls(relay) as cut:
        coming = [
            calls.subscribe(pb.SubscribeRequest(channels=["soak"]), timeout=10)
            for calls in (direct, cut)
            for _ in range(_COMING)
        ]
        publish()
        for number, call in enumerate(coming):
            with contextlib.suppress(grpc.RpcError):
                next(call)
                if number % 2:
                    call.cancel()


def _publish(calls: Calls, numbers: Iterator[int]) -> None:
    for _ in range(_EVENTS):
        calls.publish(pb.PublishRequest(channel="soak", json=str(next(numbers))), metadata=_METADATA)
    events = (pb.PublishRequest(channel="soak", json=str(next(numbers))) for _ in range(_EVENTS))
    calls.publish_stream(events, metadata=_METADATA)


def grew(samples: list[Sample]) -> list[str]:
    """Name what the last third has more of than the first third after the warm-up."""
    third = len(samples) // 3
    if third < _LEAST:
        return [f"{len(samples)} rounds are too few to judge: give it more seconds"]
    first, last = samples[third // 2 : third + third // 2], samples[-third:]
    found = [
        f"{name}: at most {most} in the first third, and {now} in the last"
        for name in ("descriptors", "greenlets")
        for most, now in [(max(getattr(each, name) for each in first), max(getattr(each, name) for each in last))]
        if now > most + _FEW
    ]
    before, after = (statistics.median(each.mib for each in part) for part in (first, last))
    if after > before + _MOST_MIB:
        found.append(f"memory: {before:.1f} MiB in the first third, and {after:.1f} in the last")
    return found


def main(seconds: float) -> int:
    """Run, print, and judge."""
    samples: list[Sample] = []
    began = printed = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(
            Path(folder),
            app="tests.apps.inspected:app",
            rpc="1",
            http2="1",
            publish_rate="0",
            max_listeners_per_address="0",
        ) as server,
    ):
        for sample in rounds(server, seconds):
            if time.monotonic() - printed >= seconds / _LINES:
                printed = time.monotonic()
                print(f"{printed - began:6.0f} s  {sample}", flush=True)
            samples.append(sample)
        assert "Traceback" not in server.log, server.log
    faults = grew(samples)
    print(
        f"{len(samples)} rounds, {len(samples) * 2 * _COMING} calls came and went. {'; '.join(faults) or 'Nothing grew.'}"
    )
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
