"""What is being read already is waited for, not read again."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event as Flag

from app.flask_simulcast.brokers.memory.broker import MemoryBroker
from app.flask_simulcast.encoding.sse import SSE
from app.flask_simulcast.errors import BrokerUnavailableError
from app.flask_simulcast.event import Draft
from app.flask_simulcast.hub.announcer import Announcer
from app.flask_simulcast.hub.hub import Hub
from app.flask_simulcast.hub.listeners import Listeners
from app.flask_simulcast.hub.pump import Pump
from app.flask_simulcast.hub.single_flight import SingleFlight
from app.flask_simulcast.listen_request import ListenRequest
from app.flask_simulcast.listener import Listener
from app.flask_simulcast.loop import let_others_in
from app.flask_simulcast.metrics import Metrics
from app.flask_simulcast.settings import Settings
from app.flask_simulcast.testing import FakeClock, read_sse
from tests.unit.conftest import MakeHub
from tests.unit.far_broker import FarBroker
from tests.unit.moves import position_of
from tests.unit.readers import settle

HERD = 5_000


class Reads:
    """SingleFlight, and what is read by them. ``is_far``: the broker's reads switch."""

    def __init__(self, *, is_far: bool = True) -> None:
        self.begun = 0
        self._metrics = Metrics()
        broker = MemoryBroker(Settings(), FakeClock())
        broker.reads_at_once = not is_far
        listeners, announcer = Listeners(Settings()), Announcer(None, self._metrics)
        self.pump = Pump(
            broker, listeners, self._metrics, announcer, on_events=lambda events: None, on_jump=lambda: None
        )
        self.single_flight = SingleFlight(broker, self.pump, self._metrics)

    @property
    def shared(self) -> float:
        return self._metrics.value("catchup_reads_shared_total")

    def read(self) -> int:
        self.begun += 1
        begun = self.begun
        let_others_in()
        return begun

    def fail(self) -> int:
        self.read()
        raise BrokerUnavailableError("away")

    def fetch(self) -> int:
        return self.single_flight.fetch("key", self.read)


def test_all_who_ask_at_once_get_one_answer_and_the_next_one_a_new_one() -> None:
    reads = Reads()
    jobs = [gevent.spawn(reads.fetch) for _ in range(10)]
    gevent.joinall(jobs, timeout=5, raise_error=True)
    assert [job.value for job in jobs] == [1] * 10
    assert reads.shared == 9
    assert reads.fetch() == 2


def test_one_that_fails_fails_for_all_and_is_not_kept() -> None:
    reads = Reads()
    jobs = [gevent.spawn(reads.single_flight.fetch, "key", reads.fail) for _ in range(10)]
    gevent.joinall(jobs, timeout=5)
    assert [str(job.exception) for job in jobs] == ["away"] * 10
    assert len({id(job.exception) for job in jobs}) == 10, "one for all would grow with each who raises it"
    assert (reads.begun, reads.shared, reads.fetch()) == (1, 0, 2)


def test_a_read_whose_greenlet_is_killed_is_started_again_by_a_waiting_caller() -> None:
    reads = Reads()
    first, *others = [gevent.spawn(reads.fetch) for _ in range(5)]
    gevent.sleep(0)
    assert reads.begun == 1
    first.kill()
    gevent.joinall(others, timeout=5, raise_error=True)
    assert [job.value for job in others] == [2] * 4


def test_what_is_under_way_when_all_is_forgotten_is_not_given_to_who_asks_later() -> None:
    reads = Reads()
    old = gevent.spawn(reads.fetch)
    gevent.sleep(0)
    reads.single_flight.forget()
    new = [gevent.spawn(reads.fetch) for _ in range(2)]
    gevent.joinall([old, *new], timeout=5, raise_error=True)
    assert [job.value for job in (old, *new)] == [1, 2, 2]
    assert not reads.single_flight._under_way


def test_where_reads_do_not_switch_nothing_is_noted() -> None:
    reads = Reads(is_far=False)
    assert gevent.joinall([gevent.spawn(reads.fetch) for _ in range(3)], timeout=5, raise_error=True)
    assert (reads.begun, reads.shared) == (3, 0)


def test_a_few_are_under_way_at_once_and_who_waits_for_a_turn_does_not_find_out_what_is_known() -> None:
    reads = Reads()
    jobs = [gevent.spawn(reads.single_flight.fetch, n, reads.read) for n in range(20)]
    gevent.sleep(0)
    assert reads.begun == 8
    reads.pump.is_lost = True
    gevent.joinall(jobs, timeout=5)
    assert [type(job.exception) for job in jobs] == [type(None)] * 8 + [BrokerUnavailableError] * 12
    reads.pump.is_lost = False
    assert reads.single_flight.fetch("next", reads.read) == 9, "all turns were given back"


def broker_of(hub: Hub) -> FarBroker:
    assert isinstance(hub.broker, FarBroker)
    return hub.broker


def test_a_herd_that_comes_back_costs_one_verdict_and_one_read_a_page(make_hub: MakeHub) -> None:
    hub = make_hub(is_far=True, constants={"PAGE_BYTES": 1024}, max_listeners=HERD)
    hub._catch_up._pages._cache._seconds = hub._catch_up._verdicts._seconds = 60  # however busy this machine is
    broker = broker_of(hub)
    start = broker.log.head()
    broker.append([Draft("c", "message", str(n)) for n in range(1000)])  # 2 890 bytes: three pages
    herd = [Listener(ListenRequest(("c",), SSE, resume=str(start))) for _ in range(HERD)]
    texts: dict[Listener, bytes] = {}

    def serve(listener: Listener) -> None:
        texts[listener] = hub.add_listener(listener)
        while not listener.is_live:
            texts[listener] += hub.next_chunk(listener, waits=False)

    gevent.joinall([gevent.spawn(serve, listener) for listener in herd], timeout=60, raise_error=True)
    assert {listener: text.count(b"\ndata: ") for listener, text in texts.items()} == dict.fromkeys(herd, 1001)
    assert [e.data for e in read_sse(texts[herd[-1]])[1:]] == [str(n) for n in range(1000)]
    assert (broker.asked["verdict"], broker.asked["page"], broker.asked["head"]) == (1, 3, 1)
    assert hub.metrics.value("catchup_reads_shared_total") >= 4 * (HERD - 1)


def test_a_herd_of_new_listeners_asks_for_its_replay_once_and_for_its_place_never(make_hub: MakeHub) -> None:
    hub = make_hub(is_far=True)
    broker = broker_of(hub)
    hub.add_listener(Listener(ListenRequest(("c",), SSE)))
    asked = broker.asked.copy()
    gate = Flag()
    broker.switch = gate.wait
    jobs = [gevent.spawn(hub.replay.start, ("c",), 10) for _ in range(100)]
    settle()
    gate.set()
    gevent.joinall(jobs, timeout=5, raise_error=True)
    jobs = [gevent.spawn(hub.add_listener, Listener(ListenRequest(("c",), SSE))) for _ in range(100)]
    gevent.joinall(jobs, timeout=5, raise_error=True)
    more = broker.asked - asked
    del more["read"]  # the pump's
    assert more == {"newest": 1}


@pytest.mark.parametrize("is_far", [False, True])
def test_a_page_of_a_second_ago_is_good_for_a_goal_further_on(make_hub: MakeHub, is_far: bool) -> None:
    hub = make_hub(is_far=is_far)
    start = str(hub.broker.head())
    hub.broker.append([Draft("c", "message", str(n)) for n in range(10)])
    listeners = [Listener(ListenRequest(("c",), SSE, resume=start)) for _ in range(5)]
    for n, listener in enumerate(listeners):
        text = hub.add_listener(listener)
        while not listener.is_live:
            text += hub.next_chunk(listener, waits=False)
        hub.publish([Draft("c", "message", str(10 + n))])
        let_others_in()
        while position_of(hub) != hub.broker.head():
            let_others_in()
        assert text.count(b"\ndata: ") == 1 + 10 + n
    if is_far:
        assert broker_of(hub).asked["page"] == 1, "the rest is in the ring"
