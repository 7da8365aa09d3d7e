"""The hub's interleavings, one step at a time: who joins when, and what they get."""

from __future__ import annotations

import gevent
import pytest

from app.flask_simulcast.close_reason import CloseReason
from app.flask_simulcast.encoding.sse import SSE
from app.flask_simulcast.errors import BrokerUnavailableError, DrainingError
from app.flask_simulcast.event import Draft, Event, Position
from app.flask_simulcast.hub.hub import Hub
from app.flask_simulcast.listen_request import ListenRequest
from app.flask_simulcast.listener import Listener
from app.flask_simulcast.loop import let_others_in
from app.flask_simulcast.testing import FakeClock, read_sse
from tests.unit.conftest import MakeHub
from tests.unit.moves import is_running, scatter
from tests.unit.readers import Reader, publish, settle


def test_a_new_listener_starts_at_the_head_and_gets_what_follows(make_hub: MakeHub) -> None:
    hub = make_hub()
    (before,) = publish(hub, 1)
    reader = Reader(hub)
    assert reader.events[0][0::2] == ("connected", before)
    settle()
    assert reader.listener.is_live
    publish(hub, 2, 3)
    publish(hub, 4, channel="other")
    settle()
    assert reader.data == ["2", "3"]
    reader.stop()
    assert not hub.listeners


def test_one_who_resumes_gets_exactly_what_it_missed(make_hub: MakeHub) -> None:
    hub = make_hub(constants={"PAGE_BYTES": 1024})
    positions = publish(hub, *range(1000))
    for resume_at in (0, 1, 500, 998, 999):
        reader = Reader(hub, resume=positions[resume_at])
        assert reader.events[0].type == "connected"
        assert reader.events[0].id == positions[resume_at]
        settle()
        while not reader.listener.is_live:
            settle()
        assert reader.data == [str(n) for n in range(resume_at + 1, 1000)]
        reader.stop()


def test_a_listener_that_joins_with_frames_pending_gets_nothing_twice(make_hub: MakeHub) -> None:
    """The audience has not handed out yet what the hub has read: the joiner goes only as far as the audience."""
    hub = make_hub()
    (start,) = publish(hub, 0)
    resident = Reader(hub)
    settle()
    for n in range(1, 200):
        publish(hub, n)  # pending: the broadcaster has had no turn since
        joiner = Reader(hub, resume=start)
        publish(hub, -n)
        settle()
        while not joiner.listener.is_live:
            settle()
        publish(hub, 1000 + n)
        settle()
        expected = [str(each) for k in range(1, n + 1) for each in (k, -k, 1000 + k)]
        assert joiner.data == expected
        joiner.stop()
    assert resident.data == expected
    resident.stop()


def test_a_listener_ahead_of_its_audience_waits_and_gets_nothing_twice(make_hub: MakeHub) -> None:
    """It resumes from the head, while the audience here has that and more still pending."""
    hub = make_hub()
    resident = Reader(hub)
    settle()
    broadcaster = hub._broadcaster._greenlet
    assert broadcaster is not None
    hub._broadcaster.stop()  # nothing hands out
    (head,) = publish(hub, 1)
    ahead = Reader(hub, resume=head)
    settle()
    assert not ahead.listener.is_live, "its audience stands before it"
    assert ahead.data == []
    publish(hub, 2)
    settle()
    assert not ahead.listener.is_live
    hub._broadcaster.start()
    hub._broadcaster._wake.set()
    settle()
    publish(hub, 3)
    settle()
    assert resident.data == ["1", "2", "3"]
    assert ahead.data == ["2", "3"]
    for reader in (resident, ahead):
        reader.stop()


def test_one_that_is_ahead_of_the_log_of_this_worker_has_it_read_on(make_hub: MakeHub) -> None:
    hub = make_hub()
    reader = Reader(hub)
    settle()
    # Another worker appends; our pump has had no hint yet.
    positions = hub.broker.append([Draft("c", "message", str(n)) for n in range(3)])
    ahead = Reader(hub, resume=str(positions[1]))
    settle()
    assert ahead.data == ["2"]
    assert reader.data == ["0", "1", "2"]
    for each in (reader, ahead):
        each.stop()


def test_a_slow_reader_overflows_and_gets_everything_from_history(make_hub: MakeHub) -> None:
    hub = make_hub(constants={"PAGE_BYTES": 1024})
    slow, fast = Reader(hub, queue_bytes=1024), Reader(hub)
    settle()
    slow.may_read.clear()
    for n in range(500):
        publish(hub, n)
        settle() if n % 50 == 0 else let_others_in()
    settle()
    assert fast.data == [str(n) for n in range(500)]
    assert not slow.listener.is_live
    assert hub.metrics.value("overflows_total") > 0
    slow.may_read.set()
    while not slow.listener.is_live:
        settle()
    publish(hub, 500)
    settle()
    assert slow.data == [str(n) for n in range(501)]
    for each in (slow, fast):
        each.stop()


def test_trimming_that_passes_a_slow_reader_is_told_once_and_the_rest_follows(
    make_hub: MakeHub, clock: FakeClock
) -> None:
    hub = make_hub(history_events=10, constants={"RING_EVENTS": 0, "PAGE_BYTES": 1024})
    slow = Reader(hub, queue_bytes=1024)
    settle()
    slow.may_read.clear()
    for n in range(500):
        publish(hub, n)
        let_others_in()
    hub.broker.maintain()
    clock.advance(11)
    hub.broker.maintain()
    slow.may_read.set()
    while not slow.listener.is_live:
        settle()
    gaps = [event for event in slow.events if event.type == "gap"]
    assert len(gaps) == 1
    assert gaps[0].data.startswith('{"reason":"trimmed","channels":["c"],')
    assert slow.data[-10:] == [str(n) for n in range(490, 500)]
    slow.stop()


def test_a_pump_that_was_passed_by_sends_everyone_to_history_for_a_verdict(make_hub: MakeHub, clock: FakeClock) -> None:
    hub = make_hub(history_events=5)
    (start,) = publish(hub, 0)
    touched, spared = Reader(hub), Reader(hub, "quiet")
    settle()
    # Other workers append and trim while this one stands still.
    hub.broker.append([Draft("quiet", "message", "1")])
    hub.broker.append([Draft("c", "message", str(n)) for n in range(1, 100)])
    hub.broker.maintain()
    clock.advance(11)
    hub.broker.maintain()
    settle()
    publish(hub, 100)
    publish(hub, 2, channel="quiet")
    settle()
    assert hub.metrics.value("pump_jumps_total") == 1
    assert [event.type for event in touched.events if event.type != "heartbeat"][1] == "gap"
    assert f'"from":"{start}"' in touched.events[1].data
    assert touched.data == ["95", "96", "97", "98", "99", "100"]
    assert spared.data == ["1", "2"]
    assert "gap" not in [event.type for event in spared.events]
    for each in (touched, spared):
        each.stop()


def test_a_jump_in_the_middle_of_a_pass_doubles_nothing(make_hub: MakeHub) -> None:
    """The pass has taken its members; they fall behind, read history, and are back before it reaches them."""
    hub = make_hub()
    readers = [Reader(hub) for _ in range(200)]
    settle()
    publish(hub, 1)
    let_others_in()  # the broadcaster begins: 64 at a time
    scatter(hub)
    publish(hub, 2)
    settle()
    for reader in readers:
        assert reader.data == ["1", "2"]
        reader.stop()


def test_the_verdict_goes_before_connected_and_a_snapshot_starts_anew(make_hub: MakeHub) -> None:
    hub = make_hub()
    first, second = publish(hub, 1, 2)
    forged = first[:-8] + "00000000"
    reader = Reader(hub, resume=forged)
    assert [(event.type, event.id) for event in reader.events] == [("gap", ""), ("connected", forged)]
    settle()
    assert reader.data == ["2"]
    reader.stop()
    start = Position.parse(second)
    listener = Listener(ListenRequest(("c",), SSE, resume="nonsense", start=start))
    assert read_sse(hub.add_listener(listener))[1] == (
        "connected",
        f'{{"listener":"{listener.id}","channels":["c"]}}',
        second,
    )
    hub.remove_listener(listener)


def test_personal_views_share_only_with_their_like(make_hub: MakeHub) -> None:
    def even(event: Event) -> Event | None:
        return event if int(event.data) % 2 == 0 else None

    hub = make_hub()
    (start,) = publish(hub, 0)
    publish(hub, 1, 2)
    listener = Listener(ListenRequest(("c",), SSE, resume=start, view=even))
    text = hub.add_listener(listener)
    text += hub.next_chunk(listener)
    reading = gevent.spawn(hub.next_chunk, listener)
    settle()
    publish(hub, 3, 4)
    text += reading.get(timeout=5)
    assert [event.data for event in read_sse(text) if event.type == "message"] == ["2", "4"]
    hub.remove_listener(listener)


def test_nothing_is_left_when_the_last_listener_goes(make_hub: MakeHub) -> None:
    hub = make_hub()
    readers = [Reader(hub, "a", "b"), Reader(hub, "b"), Reader(hub, "b")]
    settle()
    assert (set(hub._switchboard.channels), len(hub._switchboard.audiences)) == ({"a", "b", "all"}, 2)
    for reader in readers:
        reader.stop()
    assert (hub._switchboard.channels, hub._switchboard.audiences, hub.listeners) == ({}, {}, {})


def test_drain_closes_all_listeners_and_adds_none(make_hub: MakeHub) -> None:
    hub = make_hub()
    reader = Reader(hub)
    settle()
    hub.drain()
    reader.greenlet.join(timeout=5)
    assert reader.listener.close_reason is CloseReason.DRAINING
    with pytest.raises(DrainingError):
        hub.admission.check()


def test_a_hub_that_is_closed_lets_its_listeners_go(make_hub: MakeHub) -> None:
    """Or their greenlets would wait for ever for events that the pump does not read."""
    hub = make_hub()
    readers = [Reader(hub), Reader(hub, "other")]
    settle()
    hub.close()
    for reader in readers:
        reader.greenlet.join(timeout=2)
        assert reader.greenlet.dead
        assert reader.listener.close_reason is CloseReason.DRAINING


@pytest.mark.parametrize("is_far", [False, True])
def test_a_worker_reads_only_while_it_has_a_listener(make_hub: MakeHub, is_far: bool) -> None:
    """Each event of the fleet would wake it, for nothing."""
    hub = make_hub(is_far=is_far)
    first = Reader(hub)
    settle()
    publish(hub, 1)
    settle()
    first.stop()
    wait_until_it_rests(hub)
    publish(hub, 2)
    second = Reader(hub)
    settle()
    publish(hub, 3)
    settle()
    assert (first.data, second.data) == (["1"], ["3"])
    second.stop()


def test_a_worker_reads_on_for_a_listener_that_comes_before_it_rests(make_hub: MakeHub) -> None:
    hub = make_hub()
    first = Reader(hub)
    settle()
    first.stop()
    second = Reader(hub)
    settle()
    publish(hub, 1)
    settle()
    assert second.data == ["1"]
    assert hub.metrics.value("pump_jumps_total") == 0
    second.stop()


def test_a_worker_reads_on_for_its_runs(make_hub: MakeHub) -> None:
    """An order to cancel one comes through the log."""
    hub = make_hub()
    _, run = hub.runner.begin("r1234567", "", "{}", 60)
    assert run is not None
    reader = Reader(hub)
    settle()
    reader.stop()
    gevent.sleep(0.3)
    assert is_running(hub)
    hub.runner.stop(0)


def test_a_worker_rests_after_its_last_run(make_hub: MakeHub) -> None:
    hub = make_hub()
    _, run = hub.runner.begin("r1234567", "", "{}", 60)
    assert run is not None and is_running(hub)
    hub.runner.complete(run, Draft("run:r1234567", "complete", "{}"))
    wait_until_it_rests(hub)


def test_a_worker_rests_after_a_run_that_could_not_begin(make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = make_hub()

    def fails(*_: object) -> None:
        raise BrokerUnavailableError("on purpose")

    monkeypatch.setattr(hub.broker, "begin_run", fails)
    with pytest.raises(BrokerUnavailableError):
        hub.runner.begin("r1234567", "", "{}", 60)
    wait_until_it_rests(hub)


def wait_until_it_rests(hub: Hub) -> None:
    with gevent.Timeout(5):
        while is_running(hub):
            gevent.sleep(0.01)
