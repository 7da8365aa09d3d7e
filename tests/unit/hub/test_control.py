"""Who is revoked or kicked hears of it in the order of the log, and does not come back with the same token."""

from __future__ import annotations

import time

import gevent
import pytest

from app.flask_simulcast import BrokerUnavailableError, Grant
from app.flask_simulcast.close_reason import CloseReason
from app.flask_simulcast.encoding.sse import SSE
from app.flask_simulcast.event import CONTROL, Draft
from app.flask_simulcast.hub.hub import Hub
from app.flask_simulcast.listen_request import ListenRequest
from app.flask_simulcast.listener import Listener
from tests.unit.conftest import MakeHub, MakeWorld
from tests.unit.moves import look_after, step
from tests.unit.readers import Reader, publish, settle

ISSUED = 1_763_690_000.0  # Unix s
LATER_MS = round(ISSUED * 1000) + 1


def grant(user: str = "ann", token_id: str = "t1", **values: float) -> Grant:
    return Grant(user=user, token_id=token_id, issued_at=ISSUED, **values)  # type: ignore[arg-type]


def ended(reader: Reader) -> CloseReason | None:
    return reader.listener.close_reason


def test_only_a_revoked_user_loses_its_streams_and_it_loses_all(make_hub: MakeHub) -> None:
    hub = make_hub()
    ann = [Reader(hub, grant=grant(token_id=token)) for token in ("t1", "t2")]
    bob = Reader(hub, grant=grant("bob", "t3"))
    settle()
    hub.control.revoke_user("ann", LATER_MS, 3600)
    hub.read_on()
    publish(hub, 1)
    settle()
    assert [ended(reader) for reader in ann] == [CloseReason.REVOKED] * 2
    assert [reader.data for reader in (*ann, bob)] == [[], [], ["1"]], "nothing that came later reaches them"
    assert hub.control.is_revoked(grant()) and not hub.control.is_revoked(grant("bob", "t3"))
    bob.stop()


def test_what_is_issued_after_a_revocation_counts(make_hub: MakeHub) -> None:
    hub = make_hub()
    hub.control.revoke_user("ann", round(ISSUED * 1000) - 5, 3600)
    assert not hub.control.is_revoked(grant())
    reader = Reader(hub, grant=grant())
    settle()
    assert ended(reader) is None
    reader.stop()


def test_one_token_is_revoked_whenever_it_was_issued(make_hub: MakeHub) -> None:
    hub = make_hub()
    one, other = Reader(hub, grant=grant(token_id="t1")), Reader(hub, grant=grant(token_id="t2"))
    settle()
    hub.control.revoke_token("t1", 3600)
    hub.read_on()
    settle()
    assert (ended(one), ended(other)) == (CloseReason.REVOKED, None)
    from_a_clock_ahead = Grant(user="ann", token_id="t1", issued_at=ISSUED * 2)
    assert hub.control.is_revoked(from_a_clock_ahead)
    other.stop()


@pytest.mark.parametrize(("reconnect", "reason"), [(True, CloseReason.KICKED), (False, CloseReason.REVOKED)])
def test_a_kick_ends_one_connection_and_says_whether_to_come_back(
    make_hub: MakeHub, reconnect: bool, reason: CloseReason
) -> None:
    hub = make_hub()
    one, other = Reader(hub, grant=grant()), Reader(hub, grant=grant())
    settle()
    hub.control.kick(one.listener.id, reconnect=reconnect)
    hub.read_on()
    settle()
    assert (ended(one), ended(other)) == (reason, None)
    assert reason.reconnect is reconnect
    other.stop()


def test_one_who_connects_while_it_is_revoked_is_closed_at_once(make_hub: MakeHub) -> None:
    """The order went through the pump before this listener was there to hear it."""
    hub = make_hub()
    first = Reader(hub)
    settle()
    hub.control.revoke_user("ann", LATER_MS, 3600)
    hub.read_on()
    late = Reader(hub, grant=grant())
    settle()
    assert ended(late) is CloseReason.REVOKED
    first.stop()


def test_one_who_can_not_be_asked_about_is_not_taken_on(make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(names: object) -> int:
        raise BrokerUnavailableError("away")

    hub = make_hub()
    monkeypatch.setattr(hub.broker, "revoked_before", away)
    with pytest.raises(BrokerUnavailableError):
        hub.add_listener(Listener(ListenRequest(("c",), SSE, grant=grant())))
    assert not hub.listeners and not hub._listeners._by_id


def test_an_order_that_a_frozen_worker_never_read_is_found_after_its_jump(make_world: MakeWorld) -> None:
    world = make_world(is_quiet=True)
    hub = world.hub
    revoked, kicked, free = (Listener(ListenRequest(("c",), SSE, grant=grant(user))) for user in ("ann", "", "bob"))
    kicked.grant = Grant()
    for listener in (revoked, kicked, free):
        hub.add_listener(listener)
        step(hub, listener)
    hub.control.revoke_user("ann", LATER_MS, 3600)
    hub.control.kick(kicked.id, reconnect=True)
    hub._pump._jump()  # as when trimming has passed it
    for listener in (revoked, kicked, free):
        step(hub, listener)
    assert revoked.close_reason is CloseReason.REVOKED
    assert kicked.close_reason is CloseReason.KICKED
    assert free.close_reason is None


def test_an_order_of_a_later_version_is_passed_over(make_hub: MakeHub) -> None:
    hub = make_hub()
    reader = Reader(hub)
    settle()
    hub.publish([Draft(CONTROL, "dance", "{}")])
    publish(hub, 1)
    settle()
    assert reader.data == ["1"]
    reader.stop()


def test_a_stream_ends_with_its_grant(make_hub: MakeHub) -> None:
    hub = make_hub(heartbeat_seconds=0.1)  # so that the hub looks often
    ending = Reader(hub, grant=grant(expires_at=time.time() + 0.2))
    staying = Reader(hub, grant=grant(expires_at=time.time() + 60))
    began = time.monotonic()
    ending.greenlet.join(timeout=5)
    assert ended(ending) is CloseReason.EXPIRED
    assert 0.15 < time.monotonic() - began < 2
    assert ended(staying) is None
    staying.stop()


def test_one_who_is_closed_and_does_not_take_its_goodbye_is_cut(make_hub: MakeHub) -> None:
    hub: Hub = make_hub()
    cuts = []
    stuck = Listener(ListenRequest(("c",), SSE, grant=grant()), on_cut=lambda: cuts.append(True))
    hub.add_listener(stuck)
    stuck.writes(b"")
    stuck.since -= 2
    look_after(hub)
    assert not cuts
    stuck.close(CloseReason.REVOKED)
    look_after(hub)
    assert cuts == [True]
    gevent.sleep(0)
