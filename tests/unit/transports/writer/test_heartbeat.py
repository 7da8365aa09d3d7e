"""Heartbeats fill silence, never mix with frames, and tell of a client that is gone."""

from __future__ import annotations

import time
from itertools import pairwise

import gevent
import gevent.event
import gevent.queue
from flask import Response

from app.flask_simulcast.metrics import COUNTERS
from app.flask_simulcast.testing import read_sse
from tests.unit.conftest import running
from tests.unit.transports.writer.desk import Desk


def test_a_heartbeat_fills_silence_alone_and_ends_with_the_block() -> None:
    sent = [(time.monotonic(), b"")]
    beaten = gevent.event.Event()

    def send(data: bytes) -> None:
        sent.append((time.monotonic(), data))
        if [data for _, data in sent].count(b":\n") == 3:
            beaten.set()

    def view(desk: Desk) -> Response:
        with desk.writer() as stream:
            stream.start_heartbeat(0.05)
            for n in range(20):
                stream.write_event(n)
                gevent.sleep(0.01)
            assert beaten.wait(5)
        return stream.response

    Desk(view).ask(send=send)
    for (before, _), (now, data) in pairwise(sent):
        assert data != b":\n" or now - before >= 0.05
    assert not [greenlet for greenlet in running() if "Heartbeat" in repr(greenlet)]


def test_frames_of_several_greenlets_never_mix() -> None:
    def slow(data: bytes) -> None:
        gevent.sleep(0)  # a server that waits for the socket in the middle of a write

    def view(desk: Desk) -> Response:
        with desk.writer() as stream:
            stream.start_heartbeat(0.001)
            big = "x" * 200_000  # in several pieces
            gevent.joinall([gevent.spawn(stream.write_raw_event, big) for _ in range(5)], raise_error=True)
        return stream.response

    answer = Desk(view).ask(send=slow)
    assert max(map(len, answer.writes)) <= 64 << 10
    events = list(read_sse(b"".join(answer.writes)))
    assert [event.data for event in events] == ["x" * 200_000] * 5


def refuse_heartbeats(data: bytes) -> None:
    """Send to a client that is gone, as far as heartbeats can tell."""
    if data == b":\n":
        raise BrokenPipeError


def test_a_heartbeat_that_can_t_be_written_wakes_the_view_once() -> None:
    """What tells of a client behind TLS, where the kernel can't look."""
    log: list[str] = []

    def view(desk: Desk) -> Response:
        with desk.writer() as stream:
            stream.write_event(1)
            stream.start_heartbeat(0.01)
            try:
                gevent.sleep(10)
            finally:
                log.append("woken")
                gevent.sleep(0.03)  # cleaning up may switch, and is not disturbed
                log.append("cleaned up")
        log.append("went on")
        return stream.response

    desk = Desk(view)
    with gevent.Timeout(5):
        desk.ask(send=refuse_heartbeats)
    assert log == ["woken", "cleaned up", "went on"]
    assert desk.metrics.value("writer_gone_total") == 1


def test_a_view_that_swallows_everything_is_told_again_by_the_next_write() -> None:
    log: list[str] = []

    def view(desk: Desk) -> Response:
        with desk.writer() as stream:
            stream.write_event(1)
            stream.start_heartbeat(0.01)
            try:
                gevent.sleep(10)
            except Exception:
                log.append("a library takes it for its own trouble, and tries again")
            except BaseException:
                log.append("swallowed")
            stream.write_event(2)
            log.append("never")
        return stream.response

    Desk(view).ask(send=refuse_heartbeats)
    assert log == ["swallowed"]


def test_the_counters_are_in_the_table() -> None:
    assert {"writer_streams_total", "writer_errors_total", "writer_gone_total"} <= set(COUNTERS)
