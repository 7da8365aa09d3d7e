"""Job and Outcome: the input and the output of the load client. Plain data that passes between processes as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass, field

_MAX_SECONDS = 300


@dataclass(frozen=True)
class Job:
    """One run of the load client.

    Attributes:
        ports: Ports on loopback. Listeners are spread over them in turn; publishing goes to the first.
        pids: Server processes whose CPU time and memory are read.
        listeners: Streams to open, each on a connection of its own; calls of gRPC share some.
        listen_path: Path of the listeners' request.
        headers: Headers of that request.
        transport: How the listeners ask, and what they read: a name in `wires`.
        connections: Number of connections that carry the calls of gRPC.
        has_greeting: Whether the server first sends each listener a frame of its own.
        publish_path: Path of the POSTs; empty to publish nothing.
        publish_port: Where they go; 0 for the first of the ports.
        key: Bearer token of the POSTs.
        channel: Channel of the events; empty for a server that takes the bare data as the body.
        batch: Events a POST.
        window: POSTs that may be in progress to the average listener while publishing at full speed; 0 to use `rate`.
        rate: POSTs a second, at fixed times.
        seconds: Seconds of the measurement.
        warm_up_seconds: Seconds of publishing before it.
        expect: If set, publish nothing, and wait until the listeners have received this many events each.
        sampled: Listeners of which every event is read.
        unhurried_seconds: Seconds in which the client reads each of the others once; 0 to read them as soon as they have something.
    """

    ports: list[int]
    pids: list[int]
    listeners: int = 0
    listen_path: str = "/api/v1/stream?channel=bench"
    headers: dict[str, str] = field(default_factory=dict)
    transport: str = "sse"
    connections: int = 10
    has_greeting: bool = True
    publish_path: str = ""
    publish_port: int = 0
    key: str = ""
    channel: str = "bench"
    batch: int = 1
    window: int = 0
    rate: float = 0
    seconds: float = 3
    warm_up_seconds: float = 0.5
    expect: int = 0
    sampled: int = 100
    unhurried_seconds: float = 0


@dataclass
class Outcome:
    """The result of a run.

    Attributes:
        connect_seconds: Seconds until the last listener was ready.
        connect_cpu_seconds: CPU seconds of the server for all connects.
        resident_bytes: Growth of the server's memory with all listeners idle.
        began: Monotonic seconds at which the measurement began.
        seconds: Seconds of the measurement.
        cpu_seconds: CPU seconds of the server in that time.
        client_cores: Cores that this client used; near 1 it is the limit, and a rate is a lower bound.
        published: Events published in that time.
        deliveries: Events times the listeners that received them, in that time.
        events_a_read: Average number of events in one read.
        latency_ms: p50 and p99 from publish to receive of the sampled listeners, for each port.
        answer_ms: p50 and p99 of the POSTs.
        faults: Counts, by name, of what must not happen; without zeros.
    """

    connect_seconds: float = 0
    connect_cpu_seconds: float = 0
    resident_bytes: int = 0
    began: float = 0
    seconds: float = 0
    cpu_seconds: float = 0
    client_cores: float = 0
    published: int = 0
    deliveries: int = 0
    events_a_read: float = 0
    latency_ms: list[tuple[float, float]] = field(default_factory=list)
    answer_ms: tuple[float, float] = (0, 0)
    faults: dict[str, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Deliveries a second."""
        return self.deliveries / self.seconds

    @property
    def cpu_us(self) -> float:
        """µs of server CPU a delivery."""
        return self.cpu_seconds / max(self.deliveries, 1) * 1e6


def run(job: Job) -> Outcome:
    """Run the load client on a job, in a process of its own.

    Raises:
        RuntimeError: The load client failed. The message has its error output.
    """
    command = [sys.executable, "-m", "benchmarks.client"]
    done = subprocess.run(
        command, input=json.dumps(asdict(job)), capture_output=True, text=True, timeout=_MAX_SECONDS, check=False
    )
    if done.returncode:
        raise RuntimeError(f"The load client failed:\n{done.stderr}")
    return Outcome(**json.loads(done.stdout))


def percentiles_ms(values_ns: list[int]) -> tuple[float, float]:
    """Return p50 and p99 in ms of values in ns; zeros if there are none."""
    if not values_ns:
        return 0.0, 0.0
    ordered = sorted(values_ns)
    return tuple(ordered[int(share * (len(ordered) - 1))] / 1e6 for share in (0.5, 0.99))  # type: ignore[return-value]
