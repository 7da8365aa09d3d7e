"""Streams that are dropped without `close()`, by what stands between the server and them."""

from __future__ import annotations

import gevent
import pytest

from app.flask_simulcast.loop import let_others_in
from tests.unit.conftest import MakeHub
from tests.unit.readers import stream_of


def test_stream_that_is_dropped_in_the_middle_gives_its_place_back_and_it_is_told_once(
    make_hub: MakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    """Bug F1."""
    hub = make_hub()
    for _ in range(2):
        stream, _made = stream_of(hub)
        next(stream)
        del stream
    assert len(hub.listeners) == 2, "a finalizer may run in the middle of anything: it does nothing itself"
    let_others_in()
    let_others_in()
    assert not hub.listeners
    assert hub.metrics.value("streams_dropped_total") == 2
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1
    assert "does not pass close() on" in told[0]


def test_stream_that_is_dropped_in_another_thread_gives_its_place_back(make_hub: MakeHub) -> None:
    """Bug F1: a collection of garbage runs in whatever thread has made some."""
    hub = make_hub()
    held = [stream_of(hub)[0]]
    next(held[0])
    gevent.get_hub().threadpool.apply(held.clear)
    while hub.listeners:
        let_others_in()
    assert hub.metrics.value("streams_dropped_total") == 1


def test_stream_that_is_dropped_before_its_first_chunk_has_nothing_to_give_back(make_hub: MakeHub) -> None:
    """Bug F1."""
    hub = make_hub()
    stream, made = stream_of(hub)
    del stream
    let_others_in()
    assert (made, list(hub.listeners)) == ([], [])
    assert hub.metrics.value("streams_dropped_total") == 0
