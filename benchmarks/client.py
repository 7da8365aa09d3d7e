"""The load client: many listeners and one publisher in one epoll loop, without gevent. A process of its own.

``python -m benchmarks.client`` reads a `Job` from stdin and writes an `Outcome` to stdout, both as JSON.
Listeners connect one after another, with a bounded number in progress, as browsers that reconnect do.
"""

from __future__ import annotations

import gc
import json
import os
import select
import socket
import sys
import time
from dataclasses import asdict
from typing import NamedTuple

from . import process
from .job import Job, Outcome, percentiles_ms
from .multiplexed import Multiplexed
from .publisher import Publisher
from .received import Received
from .unhurried import Unhurried
from .wires import request, subscribe

_CONNECTS_UNDER_WAY = 128
_READ_BYTES = 1 << 18  # more than a page of history; one buffer for all, since allocating costs more than reading
_SETTLE_SECONDS = 0.5
_DRAIN_SECONDS = 10
_OPEN_SECONDS = 60
_EVENTS_A_TURN = 512


class Sample(NamedTuple):
    """All counters at one moment."""

    seconds: float
    cpu_seconds: float
    client_seconds: float
    published: int
    deliveries: int
    reads: int


class Client:
    """Runs one job."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._readers: dict[int, Received | Multiplexed] = {}
        self._received: list[Received] = []
        self._unhurried = Unhurried(job.unhurried_seconds)
        self._ready = 0
        self._deliveries = 0
        self._reads = 0
        self._lost = 0
        self._publisher: Publisher | None = None
        self._buffer = memoryview(bytearray(_READ_BYTES))

    def run(self) -> Outcome:
        """Connect, publish or wait, and report."""
        outcome = Outcome()
        start = self._sample()
        memory = process.resident_bytes(self._job.pids)
        self._open_all()
        opened = self._sample()
        outcome.connect_seconds = opened.seconds - start.seconds
        outcome.connect_cpu_seconds = opened.cpu_seconds - start.cpu_seconds
        if self._job.expect:
            self._wait_for(self._job.expect)
            end = self._sample()
        else:
            self._turns_until(time.monotonic() + _SETTLE_SECONDS)
            outcome.resident_bytes = process.resident_bytes(self._job.pids) - memory
            start, end = self._publish()
        self._report(outcome, start, end)
        return outcome

    # Listening

    def _open_all(self) -> None:
        deadline = time.monotonic() + _OPEN_SECONDS
        while self._ready < self._job.listeners and time.monotonic() < deadline:
            while self._may_open:
                self._open_next()
            self._turn(0.1)
        if self._job.unhurried_seconds:
            self._hurry_no_more()

    def _hurry_no_more(self) -> None:
        for fd, reader in self._readers.items():
            if isinstance(reader, Received) and not reader.is_sampled:
                self._epoll.unregister(fd)
                self._unhurried.add(fd)

    @property
    def _may_open(self) -> bool:
        opened = len(self._received)
        return opened < self._job.listeners and opened - self._ready < _CONNECTS_UNDER_WAY

    def _open_next(self) -> None:
        job = self._job
        connection = socket.create_connection(("127.0.0.1", job.ports[len(self._sockets) % len(job.ports)]))
        fd = connection.fileno()
        self._sockets[fd] = connection
        if job.transport == "grpc":
            reader = Multiplexed([self._listener() for _ in range(job.listeners // job.connections)])
            connection.sendall(reader.opening(job.listen_path, subscribe(job.channel)))
            self._readers[fd] = reader
        else:
            connection.sendall(request(job.transport, job.listen_path, job.channel, job.headers))
            self._readers[fd] = self._listener()
        self._epoll.register(fd, select.EPOLLIN)

    def _listener(self) -> Received:
        job = self._job
        step = max(job.listeners // job.sampled, 1)
        is_sampled = len(self._received) % step == 0
        self._received.append(Received(has_greeting=job.has_greeting, is_sampled=is_sampled, transport=job.transport))
        return self._received[-1]

    def _turn(self, seconds: float) -> None:
        """Wait for ready sockets, at most ``seconds``, and serve them; read the unhurried ones that are due."""
        for fd in self._unhurried.due():
            self._read(fd)
        for fd, _ in self._epoll.poll(self._unhurried.wait(seconds), _EVENTS_A_TURN):
            if fd in self._readers:
                self._read(fd)
            elif self._publisher is not None and self._publisher.is_waiting:
                self._publisher.read()
            elif self._publisher is not None:  # the server closes a connection that it thinks idle
                self._epoll.unregister(self._publisher)

    def _turns_until(self, deadline: float) -> None:
        while (left := deadline - time.monotonic()) > 0:
            self._turn(_whole_ms(left))

    def _read(self, fd: int) -> None:
        try:
            size = self._sockets[fd].recv_into(self._buffer, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        if not size:
            self._lost += 1
            if not self._unhurried.remove(fd):
                self._epoll.unregister(fd)
            return
        reader = self._readers[fd]
        was_ready = reader.ready
        count = reader.feed(bytes(self._buffer[:size]), time.monotonic_ns())
        self._ready += reader.ready - was_ready
        if isinstance(reader, Multiplexed) and reader.reply:
            self._sockets[fd].sendall(reader.reply)
            reader.reply = b""
        if count:
            self._reads += 1
            self._deliveries += count

    def _wait_for(self, events: int) -> None:
        """Wait until the listeners have received this many events on average. A listener with fewer is counted as a fault."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        while self._deliveries < events * self._job.listeners and time.monotonic() < deadline:
            self._turn(0.1)

    # Publishing

    def _publish(self) -> tuple[Sample, Sample]:
        job = self._job
        if not job.publish_path:
            return self._sample(), self._sample()
        self._publisher = Publisher(job.publish_port or job.ports[0], job.publish_path, job.key, job.channel, job.batch)
        self._epoll.register(self._publisher, select.EPOLLIN)
        publish_until = self._publish_at_rate if job.rate else self._publish_in_window
        publish_until(time.monotonic() + job.warm_up_seconds)
        start = self._sample()
        self._publisher.answer_ns.clear()
        publish_until(time.monotonic() + job.seconds)
        end = self._sample()
        self._finish(self._publisher)
        return start, end

    def _publish_in_window(self, deadline: float) -> None:
        publisher, listeners = self._publisher, self._job.listeners
        assert publisher is not None
        window = self._job.window * self._job.batch * listeners
        while time.monotonic() < deadline:
            under_way = publisher.published * listeners - self._deliveries
            if not publisher.is_waiting and under_way < max(window, 1):
                publisher.send(time.monotonic_ns())
            self._turn(0.1)

    def _publish_at_rate(self, deadline: float) -> None:
        """Publish at fixed times. An event that the server delayed is sent late, but carries the time at which it was due. The
        lateness of the client's own timer is not counted."""
        publisher = self._publisher
        assert publisher is not None
        due = time.monotonic()
        while due < deadline:
            self._turns_until(due)
            was_waiting = publisher.is_waiting
            while publisher.is_waiting:
                self._turn(0.1)
            publisher.send(int(due * 1e9) if was_waiting else time.monotonic_ns())
            due += 1 / self._job.rate
        self._turns_until(deadline)

    def _finish(self, publisher: Publisher) -> None:
        """Let everything arrive."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        while publisher.is_waiting and time.monotonic() < deadline:
            self._turn(0.1)
        self._wait_for(publisher.published)

    # Reporting

    def _sample(self) -> Sample:
        return Sample(
            time.monotonic(),
            process.cpu_seconds(self._job.pids),
            time.process_time(),
            self._publisher.published if self._publisher else 0,
            self._deliveries,
            self._reads,
        )

    def _report(self, outcome: Outcome, start: Sample, end: Sample) -> None:
        outcome.began = start.seconds
        outcome.seconds = end.seconds - start.seconds
        outcome.cpu_seconds = end.cpu_seconds - start.cpu_seconds
        outcome.client_cores = (end.client_seconds - start.client_seconds) / max(outcome.seconds, 1e-9)
        outcome.published = end.published - start.published
        outcome.deliveries = end.deliveries - start.deliveries
        outcome.events_a_read = outcome.deliveries / max(end.reads - start.reads, 1)
        outcome.latency_ms = self._latencies(start.seconds * 1e9, end.seconds * 1e9)
        outcome.answer_ms = percentiles_ms(self._publisher.answer_ns if self._publisher else [])
        outcome.faults = {name: count for name, count in self._faults().items() if count}

    def _latencies(self, start_ns: float, end_ns: float) -> list[tuple[float, float]]:
        """Return the latencies for each port, of events that were sent between these two times."""
        ports = self._job.ports
        values: list[list[int]] = [[] for _ in ports]
        for number, received in enumerate(self._received):
            values[number % len(ports)] += [ns for sent, ns in received.latencies if start_ns <= sent <= end_ns]
        return [percentiles_ms(latencies) for latencies in values]

    def _faults(self) -> dict[str, int]:
        everyone = self._received
        wanted = self._publisher.published if self._publisher else self._job.expect
        opened = 101 if self._job.transport == "websocket" else 200
        ended = sum(reader.ended for reader in self._readers.values() if isinstance(reader, Multiplexed))
        sums = {received.checksum for received in everyone}
        return {
            "not opened": sum(received.status != opened for received in everyone),
            "closed early": self._lost + ended,
            "incomplete": sum(received.events != wanted for received in everyone),
            "gaps or duplicates": sum(received.wrong for received in everyone),
            "other bytes than the sampled": max(len(sums) - 1, 0),
            "publishes refused": self._publisher.refused if self._publisher else 0,
        }


def _whole_ms(seconds: float) -> float:
    """Round down to whole ms. An epoll rounds up, so each publish would be late; the last ms is polled instead."""
    return int(seconds * 1000) / 1000


def main() -> None:
    """Read the job, do it, write the outcome."""
    job = Job(**json.load(sys.stdin))
    process.pin(os.getpid(), process.CLIENT_CORE)
    gc.disable()  # the process lives for seconds, and a collection would count as the server's latency
    json.dump(asdict(Client(job).run()), sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # closes thousands of sockets at once


if __name__ == "__main__":
    main()
