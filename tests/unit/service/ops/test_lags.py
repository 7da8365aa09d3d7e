"""Which listeners are behind, and by how much."""

from __future__ import annotations

from app.features.ops.lags import laggards
from app.flask_simulcast import Grant, Listener, Position
from app.flask_simulcast.encoding.sse import SSE
from app.flask_simulcast.listen_request import ListenRequest

HEAD = Position(100_000 << 20, 1)


def listener(ms: int, *, is_live: bool) -> Listener:
    one = Listener(ListenRequest(channels=("news",), encoding=SSE, grant=Grant(user="ann")))
    one.became_known()
    one.go_live(Position(ms << 20, 1))
    if not is_live:
        one.fall_behind()
    return one


def test_live_listener_that_waits_for_events_is_not_behind_however_old_its_last_one_is() -> None:
    one = listener(1_000, is_live=True)
    assert laggards([one], HEAD, one.since + 500) == {}


def test_listener_that_reads_history_is_behind_by_the_age_of_what_it_has_and_the_worst_comes_first() -> None:
    some = [listener(99_500, is_live=False), listener(97_000, is_live=False), listener(40_000, is_live=False)]
    assert list(laggards(some, HEAD, some[0].since).items()) == [(some[2].id, 60.0), (some[1].id, 3.0)]


def test_client_that_takes_nothing_is_behind_since_the_chunk_that_it_does_not_take() -> None:
    one = listener(100_000, is_live=True)
    one.writes(b"data: 1\n\n")
    assert laggards([one], HEAD, one.since + 0.5) == {}
    assert laggards([one], HEAD, one.since + 20) == {one.id: 20.0}
