"""The body of a stream, and how many frames a client may send."""

from __future__ import annotations

import io
import tracemalloc

import gevent
import pytest

from app.flask_simulcast.gunicorn.http2.allowance import Allowance
from app.flask_simulcast.gunicorn.http2.body import Body, BodyFile
from app.flask_simulcast.testing import FakeClock


def test_a_reader_gets_what_has_come_and_opens_the_window_by_it() -> None:
    opened: list[int] = []
    body = Body()
    reader = io.BufferedReader(BodyFile(body, opened.append))
    reading = gevent.spawn(reader.read, 5)
    gevent.sleep(0)
    for piece in (b"he", b"llo world"):
        body.feed(piece)
        gevent.sleep(0)
    assert reading.get(timeout=5) == b"hello", "it waits for no more than it asks for"
    body.finish()
    assert (reader.read(), sum(opened), body.unread, body.is_whole) == (b" world", 11, 0, True)


def test_bytes_that_come_one_by_one_need_the_memory_of_bytes_that_come_at_once() -> None:
    """A client can send each byte in a frame of its own. Each took 390 bytes: one connection could hold 400 MB."""
    body, size = Body(), 64 << 10
    tracemalloc.start()
    try:
        for number in range(size):
            body.feed(bytes((number % 256,)))
        assert tracemalloc.get_traced_memory()[0] < 2 * size
    finally:
        tracemalloc.stop()
    assert (body.unread, body.take()[:3], body.unread) == (size, b"\x00\x01\x02", 0)


def test_a_body_that_is_broken_off_is_not_taken_for_a_whole_one() -> None:
    body = Body()
    body.feed(b"half")
    body.break_off()
    reader = io.BufferedReader(BodyFile(body, lambda size: None))
    assert reader.read(4) == b"half"
    with pytest.raises(ConnectionResetError):
        reader.read(1)


def test_an_allowance_fills_again() -> None:
    clock = FakeClock()
    allowance = Allowance(3, 2, clock.monotonic)
    assert [allowance.take() for _ in range(4)] == [True, True, True, False]
    clock.advance(2)
    assert [allowance.take() for _ in range(3)] == [True, True, True]
