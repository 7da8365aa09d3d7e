"""What a worker tells the others of its listeners."""

from __future__ import annotations

import gevent
import pytest

from app.flask_simulcast.brokers.check_in import CheckIn
from app.flask_simulcast.encoding.sse import SSE
from app.flask_simulcast.errors import BrokerUnavailableError
from app.flask_simulcast.grant import Grant
from app.flask_simulcast.hub.hub import Hub
from app.flask_simulcast.listen_request import ListenRequest
from app.flask_simulcast.listener import Listener
from app.flask_simulcast.testing import FakeClock
from tests.unit.conftest import MakeHub
from tests.unit.readers import Reader, settle


@pytest.fixture(autouse=True)
def without_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.flask_simulcast.hub.place_reporter._PAUSE_SECONDS", 0)


def present(hub: Hub, channel: str = "c") -> list[str]:
    return [member.member for member in hub.broker.members(channel, "", 100)]


def placed(hub: Hub) -> set[str]:
    return {place.listener for place in hub.broker.places("", 100)}


def reader(hub: Hub, user: str, *channels: str) -> Reader:
    channels = channels or ("c",)
    return Reader(hub, *channels, grant=Grant(user=user), member=user, present_on=channels, meta='{"age":7}')


def test_a_listener_that_comes_is_there_at_once_and_one_that_goes_leaves_after_the_grace(
    make_hub: MakeHub, clock: FakeClock
) -> None:
    hub = make_hub()
    ann = reader(hub, "ann")
    watcher = Reader(hub, "presence:c")
    settle()
    assert (present(hub), placed(hub)) == (["ann"], {ann.listener.id, watcher.listener.id})
    ann.stop()
    settle()
    assert (present(hub), placed(hub)) == (["ann"], {watcher.listener.id})
    clock.advance(3.1)
    hub.broker.maintain()
    hub.read_on()
    settle()
    assert present(hub) == []
    told = [event for event in watcher.events if event.type in ("join", "leave")]
    assert [event.type for event in told][-1] == "leave"
    assert '"member":"ann","meta":{"age":7}' in told[-1].data
    watcher.stop()


def test_a_reload_is_no_leave(make_hub: MakeHub, clock: FakeClock) -> None:
    hub = make_hub()
    watcher = Reader(hub, "presence:c")
    settle()
    first = reader(hub, "ann")
    settle()
    first.stop()
    settle()
    clock.advance(1)
    second = reader(hub, "ann")
    settle()
    clock.advance(10)
    hub._place_reporter._wake.set()  # the lease is renewed
    settle()
    hub.broker.maintain()
    hub.read_on()
    settle()
    assert present(hub) == ["ann"]
    assert [event.type for event in watcher.events if event.type in ("join", "leave")] == ["join"]
    second.stop()
    watcher.stop()


def test_one_that_came_and_went_between_two_reports_was_never_there(make_hub: MakeHub) -> None:
    hub = make_hub()
    short = Listener(ListenRequest(("c",), SSE))
    hub.add_listener(short)
    hub.remove_listener(short)
    assert not (hub._place_reporter._come or hub._place_reporter._gone)
    settle()
    assert placed(hub) == set()


def test_a_worker_whose_lease_had_ended_hands_in_all_of_its_listeners_again(
    make_hub: MakeHub, clock: FakeClock
) -> None:
    hub = make_hub(presence_lease_seconds=8)
    ann, bob = reader(hub, "ann"), reader(hub, "bob")
    settle()
    clock.advance(20)  # it was frozen
    hub.broker.maintain()
    assert (present(hub), placed(hub)) == ([], set())
    hub._place_reporter._wake.set()
    settle()
    assert (present(hub), placed(hub)) == (["ann", "bob"], {ann.listener.id, bob.listener.id})
    ann.stop()
    bob.stop()


def test_a_register_that_can_not_be_written_is_written_later(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = make_hub()
    check_in = hub.broker.check_in
    failures = [1, 1]

    def fails_twice(*arguments: object, **options: object) -> bool:
        if failures:
            failures.pop()
            raise BrokerUnavailableError("on purpose")
        return check_in(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(hub.broker, "check_in", fails_twice)
    monkeypatch.setattr("app.flask_simulcast.hub.place_reporter._RETRY_SECONDS", 0.01)
    ann, gone = reader(hub, "ann"), reader(hub, "gone")
    settle()
    gone.stop()
    for _ in range(20):
        settle()
        gevent.sleep(0.01)
        if present(hub):
            break
    assert present(hub) == ["ann"]
    assert placed(hub) == {ann.listener.id}
    assert hub.metrics.value("register_failed_total") == 2
    ann.stop()


def test_one_place_that_can_not_be_stored_keeps_no_other_from_it(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub = make_hub()
    check_in = hub.broker.check_in

    def fails_for_bob(report: CheckIn) -> bool:
        if any(place.member == "bob" for place in report.come):
            raise KeyError("bob")
        return check_in(report)

    monkeypatch.setattr(hub.broker, "check_in", fails_for_bob)
    readers = [reader(hub, user) for user in ("ann", "bob", "cid", "dan")]
    settle()
    assert present(hub) == ["ann", "cid", "dan"]
    assert caplog.text.count("can't be stored") == 1
    readers[0].stop()
    settle()
    assert placed(hub) == {each.listener.id for each in readers[2:]}
    for each in readers[1:]:
        each.stop()


def test_a_report_that_fails_is_tried_again_whatever_its_error_is(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub = make_hub()
    check_in = hub.broker.check_in
    ann, bob = reader(hub, "ann"), reader(hub, "bob")
    settle()
    failures = [1, 1]

    def fails_twice(report: CheckIn) -> bool:
        if failures:
            failures.pop()
            raise KeyError("on purpose")
        return check_in(report)

    monkeypatch.setattr(hub.broker, "check_in", fails_twice)
    monkeypatch.setattr("app.flask_simulcast.hub.place_reporter._RETRY_SECONDS", 0.01)
    ann.stop()
    for _ in range(20):
        settle()
        gevent.sleep(0.01)
    assert placed(hub) == {bob.listener.id}
    assert caplog.text.count("could not be stored") == 2
    bob.stop()


def test_a_worker_that_drains_leaves_with_its_listeners(make_hub: MakeHub, clock: FakeClock) -> None:
    hub = make_hub(drain_seconds=0.1)
    ann = reader(hub, "ann")
    settle()
    hub.drain()
    assert placed(hub) == set()
    assert present(hub) == ["ann"], "another worker may take it on within the grace"
    clock.advance(3.1)
    hub.broker.maintain()
    assert present(hub) == []
    ann.stop()
