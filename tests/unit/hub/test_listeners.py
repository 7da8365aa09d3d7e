"""Who listens in one worker, and whether there is room for another."""

from __future__ import annotations

import pytest

from app.flask_simulcast.encoding.sse import SSE
from app.flask_simulcast.errors import ListenerLimitError, TooManyListenersError
from app.flask_simulcast.grant import Grant
from app.flask_simulcast.hub.listeners import Listeners
from app.flask_simulcast.listen_request import ListenRequest
from app.flask_simulcast.listener import Listener
from app.flask_simulcast.settings import Settings


def listeners(**settings: int) -> Listeners:
    return Listeners(Settings(**settings))  # type: ignore[arg-type]


def listener(user: str = "", address: str = "") -> Listener:
    return Listener(ListenRequest(("c",), SSE, grant=Grant(user=user), address=address))


def test_it_finds_by_id_and_by_user_and_forgets_who_left() -> None:
    here = listeners()
    ann, ann_too, nobody = listener("ann"), listener("ann"), listener()
    for each in (ann, ann_too, nobody):
        here.add(each)
    assert here.find(ann.id) is ann
    assert here.of_user("ann") == [ann, ann_too]
    assert here.of_channel("user:ann") == [ann, ann_too]
    assert here.of_channel(f"listener:{nobody.id}") == [nobody]
    for each in (ann, ann_too, nobody):
        here.remove(each)
    assert here.find(ann.id) is None
    assert (here.of_user("ann"), here.of_channel("user:ann"), here.all) == ([], [], {})
    assert not (here._by_id or here._by_user or here._by_address or here._by_channel)


@pytest.mark.parametrize(
    ("channels", "is_heard"),
    [
        (["c"], True),
        (["a", "c"], True),
        (["a", "b"], False),
        (["all"], True),
        (["simulcast:control"], True),
        (["user:ann"], True),
        (["user:bob"], False),
        (["listener:0000000000000000"], False),
        (["run:c"], False),
        ([], False),
    ],
)
def test_it_knows_which_channels_concern_it(channels: list[str], is_heard: bool) -> None:
    here = listeners()
    here.add(listener("ann"))
    assert here.hear(channels) == is_heard


def test_a_listener_hears_its_own_channel() -> None:
    here, one = listeners(), listener()
    here.add(one)
    assert here.hear([f"listener:{one.id}"])
    here.remove(one)
    assert not here.hear([f"listener:{one.id}", "c"])


def test_the_worker_is_full() -> None:
    here = listeners(max_listeners=2)
    here.add(listener())
    here.check_capacity()
    here.add(listener())
    with pytest.raises(ListenerLimitError, match="SIMULCAST_MAX_LISTENERS"):
        here.check_capacity()


def test_one_user_has_as_many_as_allowed_and_others_come_in() -> None:
    here = listeners(max_listeners_per_user=2)
    for _ in range(2):
        here.check_capacity("ann")
        here.add(listener("ann"))
    with pytest.raises(TooManyListenersError, match="SIMULCAST_MAX_LISTENERS_PER_USER"):
        here.check_capacity("ann")
    here.check_capacity("bob")
    here.check_capacity("")


def test_one_address_has_as_many_as_allowed_until_one_leaves() -> None:
    here = listeners(max_listeners_per_address=1)
    first = listener(address="192.0.2.1")
    here.add(first)
    with pytest.raises(TooManyListenersError, match="SIMULCAST_MAX_LISTENERS_PER_ADDRESS"):
        here.check_capacity(address="192.0.2.1")
    here.check_capacity(address="192.0.2.2")
    here.check_capacity(address="")
    here.remove(first)
    here.check_capacity(address="192.0.2.1")
