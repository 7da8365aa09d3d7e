"""The body of a streaming response: takes nothing before it is read, gives everything back however it ends."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest

from app.flask_simulcast.close_reason import CloseReason
from app.flask_simulcast.encoding.sse import SSE
from app.flask_simulcast.errors import EventDataError
from app.flask_simulcast.listener import Listener
from app.flask_simulcast.loop import let_others_in
from app.flask_simulcast.signals import listener_added
from app.flask_simulcast.testing import read_sse
from app.flask_simulcast.transports.goodbye import END_ID
from app.flask_simulcast.transports.json_rows import JSONRows
from tests.unit.conftest import MakeHub
from tests.unit.readers import stream_of


def test_nothing_is_taken_before_the_first_chunk(make_hub: MakeHub) -> None:
    hub = make_hub()
    stream, made = stream_of(hub)
    stream.close()
    assert (made, list(hub.listeners)) == ([], [])
    assert list(stream) == []


def test_the_first_chunk_is_connected_and_what_the_view_put_before(make_hub: MakeHub) -> None:
    hub = make_hub()
    stream, made = stream_of(hub, SSE.notice("snapshot", "1", "x"))
    first = next(stream)
    assert first.startswith(b"retry: 2000\nevent: connected"), "only the end of the snapshot has a position"
    assert [event.type for event in read_sse(first)] == ["connected", "snapshot"]
    assert list(hub.listeners) == made
    stream.close()
    stream.close()
    assert not hub.listeners
    assert hub.metrics.value("listener_closed_total", "client_gone") == 1


@pytest.mark.parametrize("reason", list(CloseReason))
def test_the_last_chunk_says_why_and_whether_to_come_back(make_hub: MakeHub, reason: CloseReason) -> None:
    hub = make_hub()
    stream, made = stream_of(hub)
    next(stream)
    made[0].close(reason)
    rest = list(stream)
    stream.close()
    assert not hub.listeners
    if reason in (CloseReason.CLIENT_GONE, CloseReason.STALLED):
        assert rest == [], "nobody is there to read it"
        return
    (event,) = read_sse(rest[0])
    back = "true" if reason.reconnect else "false"
    assert event.data == f'{{"reason":"{reason.value}","reconnect":{back}}}'
    assert event.id == ("" if reason.reconnect else END_ID)
    assert rest[0].startswith(b"retry: ")


def test_one_who_finds_no_room_is_sent_away_politely(make_hub: MakeHub) -> None:
    hub = make_hub(max_listeners=1)
    (one, _), (two, _) = stream_of(hub), stream_of(hub)
    next(one)
    refusal = next(two)
    assert refusal.startswith(b"retry: ")
    assert b'"reason":"listener_limit","reconnect":true' in refusal
    assert list(two) == []
    two.close()
    assert len(hub.listeners) == 1
    one.close()
    assert hub.metrics.value("listeners_refused_total", "listener_limit") == 1


# Streaming JSON


def test_rows_become_one_document_in_batches() -> None:
    chunks = list(JSONRows("rows", ({"n": n, "text": "é" * 20} for n in range(2000))))
    assert 2 < len(chunks) < 40
    text = b"".join(chunks)
    assert text.startswith(b'{"rows":[{"n":0,')
    assert text.endswith(b"]}")
    assert b"".join(JSONRows("x", [])) == b'{"x":[]}'


@pytest.mark.parametrize("bad", [object(), float("nan"), {1}])
def test_a_row_that_fails_raises_and_closes_the_iterator(bad: object) -> None:
    closed = []

    def rows() -> object:
        try:
            yield from range(5000)
            yield bad
        finally:
            closed.append(True)

    chunks = []
    with pytest.raises(EventDataError):
        for chunk in JSONRows("rows", rows()):  # type: ignore[arg-type]
            chunks.append(chunk)
    assert closed == [True]
    assert not b"".join(chunks).endswith(b"]}")


def test_a_document_that_is_not_read_to_its_end_closes_the_iterator() -> None:
    closed = []

    def rows() -> object:
        try:
            yield from range(100_000)
        finally:
            closed.append(True)

    document = JSONRows("rows", rows())  # type: ignore[arg-type]
    next(document)
    document.close()
    assert closed == [True]


def test_a_document_that_is_never_read_closes_the_iterator_once() -> None:
    """Bug F1, a sibling: HEAD."""

    class Rows:
        closed = 0

        def __iter__(self) -> Iterator[object]:
            return self  # type: ignore[return-value]

        def __next__(self) -> object:
            return 1

        def close(self) -> None:
            self.closed += 1

    for reads in (0, 1):
        rows = Rows()
        document = JSONRows("rows", rows)
        for _ in range(reads):
            next(document)
        document.close()
        document.close()
        assert rows.closed == 1


def test_a_document_that_is_dropped_halfway_closes_the_iterator() -> None:
    """Bug F1, a sibling: what wraps the response forgets close()."""
    closed = []

    def rows() -> Iterator[object]:
        try:
            yield from range(100_000)
        finally:
            closed.append(True)

    wrapped = (chunk for chunk in JSONRows("rows", rows()))
    next(wrapped)
    del wrapped
    assert closed == [True]


# Bug F1: what stands between the server and the stream forgets close()


def test_stream_that_has_ended_gives_its_place_back_by_itself(make_hub: MakeHub) -> None:
    """Bug F1."""
    hub = make_hub()
    for reason in CloseReason:
        stream, made = stream_of(hub)
        next(stream)
        made[0].close(reason)
        list(stream)
        assert not hub.listeners, reason
    assert hub.metrics.value("streams_dropped_total") == 0, "it ended as it should"


def test_stream_that_fails_gives_its_place_back(make_hub: MakeHub) -> None:
    """Bug F1, a sibling: the error passes through whatever wraps the stream, which may be kept with the traceback."""
    hub = make_hub()
    stream, made = stream_of(hub)
    next(stream)
    reader = gevent.spawn(next, stream)
    while made[0].is_writing:
        let_others_in()
    reader.kill()
    assert not hub.listeners
    with pytest.raises(StopIteration):
        next(stream)


def test_a_place_is_given_back_also_when_its_greenlet_is_killed_while_it_is_taken(make_hub: MakeHub) -> None:
    """A receiver that waits, and a server that ends the request meanwhile."""
    hub = make_hub()
    stream, _ = stream_of(hub)

    def receiver(sender: object, listener: Listener) -> None:
        raise gevent.GreenletExit

    with listener_added.connected_to(receiver), pytest.raises(gevent.GreenletExit):
        next(stream)
    stream.close()
    assert not hub.listeners
