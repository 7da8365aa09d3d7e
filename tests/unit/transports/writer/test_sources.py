"""Many events from one source: producers and queues, their errors and their ends."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import gevent.event
import gevent.queue
import pytest

from tests.unit.transports.writer.desk import written


def test_a_producer_that_fails_is_closed_and_told() -> None:
    def tokens() -> Iterator[int]:
        yield 1
        raise RuntimeError("upstream said no")

    assert written(lambda w: w.stream(tokens())) == [b"data: 1\n\n", b'event: error\ndata: {"error":"internal"}\n\n']


def test_items_that_were_there_go_out_before_the_error_and_none_after() -> None:
    items: gevent.queue.Queue[int] = gevent.queue.Queue()
    errors: gevent.queue.Queue[object] = gevent.queue.Queue()
    for n in range(3):
        items.put(n)
    errors.put(None)
    errors.put(ValueError("enough"))
    expected = [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n", b'event: error\ndata: {"error":"enough"}\n\n']
    assert written(lambda w: w.stream_from(items, errors)) == expected


@pytest.mark.parametrize("make", [gevent.queue.Queue, queue.Queue])
def test_an_error_wakes_who_waits_for_items(make: Callable[[], Any]) -> None:
    items, errors = make(), make()

    def fail() -> None:
        items.put(1)
        gevent.sleep(0.01)
        errors.put("late")

    gevent.spawn(fail)
    expected = [b"data: 1\n\n", b'event: error\ndata: {"error":"late"}\n\n']
    with gevent.Timeout(5):
        assert written(lambda w: w.stream_from(items, errors)) == expected


@pytest.mark.parametrize("make", [gevent.queue.Queue, queue.Queue])
def test_an_error_and_items_in_any_order_lose_nothing(make: Callable[[], Any]) -> None:
    """Whichever comes first: all items that were put before the error, then the error."""
    for steps in range(8):
        items, errors = make(), make()

        def produce(items: Any = items, errors: Any = errors, steps: int = steps) -> None:
            for n in range(6):
                items.put(n)
                if (n % 2 and steps & 1) or (n % 3 and steps & 2):
                    gevent.sleep(0)
            if steps & 4:
                gevent.sleep(0.001)
            errors.put("end")

        producer = gevent.spawn(produce)
        with gevent.Timeout(5):
            writes = written(lambda w, i=items, e=errors: w.stream_from(i, e))  # type: ignore[misc]
        producer.join()
        assert writes == [*(b"data: %d\n\n" % n for n in range(6)), b'event: error\ndata: {"error":"end"}\n\n']


def test_an_end_with_an_error_beside_it_is_an_error() -> None:
    items: gevent.queue.Queue[object] = gevent.queue.Queue()
    errors: gevent.queue.Queue[object] = gevent.queue.Queue()

    def produce() -> None:
        gevent.sleep(0.005)
        errors.put("failed")
        items.put(StopIteration)

    gevent.spawn(produce)
    assert written(lambda w: w.stream_from(items, errors)) == [b'event: error\ndata: {"error":"failed"}\n\n']


def test_queues_that_are_shut_down_have_ended() -> None:
    items: gevent.queue.Queue[int] = gevent.queue.Queue()
    errors: gevent.queue.Queue[object] = gevent.queue.Queue()
    items.put(1)
    items.shutdown()
    errors.shutdown()
    assert written(lambda w: w.stream_from(items, errors)) == [b"data: 1\n\n"]
