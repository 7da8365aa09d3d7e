"""Publishing from programs that have no app, no loop, and no patched sockets."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from markupsafe import Markup

from app.flask_simulcast import BrokerUnavailableError, IdempotencyKey, Position, Publisher, SettingError
from app.flask_simulcast.brokers.base import Clock
from app.flask_simulcast.brokers.sqlite.broker import SQLiteBroker
from app.flask_simulcast.data import is_raw, text_of
from app.flask_simulcast.errors import ChannelCountError, EventDataError, IdempotencyConflictError, NoSuchListenerError
from app.flask_simulcast.settings import Settings

ROOT = Path(__file__).parent.parent.parent


def stored(url: str, *channels: str) -> list[tuple[str, str]]:
    """Read the log through another broker."""
    broker = SQLiteBroker(url.removeprefix("sqlite:///"), Settings(), Clock())
    try:
        page = broker.page(channels, Position(0, 0), broker.head(), 1 << 30)
        return [(event.channel, event.data) for event in page.events]
    finally:
        broker.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of a log that a server has made."""
    SQLiteBroker(f"{tmp_path}/log.db", Settings(), Clock()).close()
    return f"sqlite:///{tmp_path}/log.db"


def test_every_verb_reaches_its_channel(url: str) -> None:
    with Publisher.from_url(url) as publisher:
        publisher.publish("a", 1)
        publisher.publish_many([{"channel": "a", "data": 2}, {"channels": ["b", "c"], "data": 3}])
        several = publisher.publish_to_channels(["b", "c", "b"], 4)
        publisher.broadcast(5)
        publisher.publish_to_user("ann@example.org", 6)
        with pytest.raises(NoSuchListenerError):
            publisher.publish_to_listener("0123456789abcdef", 7)
    assert [event.channel for event in several] == ["b", "c"]
    assert len({event.position for event in several}) == 2
    assert stored(url, "a", "b", "c", "all", "user:ann@example.org") == [
        ("a", "1"), ("a", "2"), ("b", "3"), ("c", "3"), ("b", "4"), ("c", "4"), ("all", "5"), ("user:ann@example.org", "6"),
    ]  # fmt: skip


def test_every_verb_can_send_text_as_it_is(url: str) -> None:
    """Markup or ``raw``: other text is a JSON string, also the same text."""
    with Publisher.from_url(url) as publisher:
        publisher.publish("a", Markup("<b>1"))
        publisher.publish("a", "<b>2", raw=True)
        publisher.publish_many([{"channel": "a", "data": Markup("<b>3")}, {"channel": "a", "data": "4", "raw": True}])
        publisher.publish_to_channels(["a"], "5", raw=True)
        publisher.broadcast("6", raw=True)
        publisher.publish_to_user("ann", "7", raw=True)
        publisher.publish("a", "<b>8")
        publisher.publish("a", "9", raw=True, idempotency_key="k")
        with pytest.raises(IdempotencyConflictError):
            publisher.publish("a", "9", idempotency_key="k")
        with pytest.raises(EventDataError, match="Event 1: Raw data of the type dict"):
            publisher.publish_many([{"channel": "a", "data": 1}, {"channel": "a", "data": {}, "raw": True}])
    raw = [(channel, text_of(data)) for channel, data in stored(url, "a", "all", "user:ann") if is_raw(data)]
    assert raw == [
        ("a", "<b>1"), ("a", "<b>2"), ("a", "<b>3"), ("a", "4"), ("a", "5"), ("all", "6"), ("user:ann", "7"), ("a", "9"),
    ]  # fmt: skip
    assert [data for _, data in stored(url, "a") if not is_raw(data)] == ['"<b>8"']


def test_several_channels_are_stored_in_all_or_none(url: str) -> None:
    with Publisher.from_url(url) as publisher:
        for channels in (["a", "user:bob"], ["a", "bad name"], [], "abc"):
            with pytest.raises((ValueError, ChannelCountError)):
                publisher.publish_to_channels(channels, 1)
    assert stored(url, "a") == []


def test_a_key_counts_for_its_channel_alone(url: str) -> None:
    """Otherwise a sender that may publish to one channel could take the keys of others."""
    with Publisher.from_url(url) as publisher:
        first = publisher.publish("mine", 1, idempotency_key="order-7")
        assert publisher.publish("mine", 1, idempotency_key="order-7").position == first.position
        publisher.publish("theirs", 3, idempotency_key="order-7")
        with pytest.raises(IdempotencyConflictError):
            publisher.publish_to_channels(["third", "mine", "theirs"], 1, idempotency_key="order-7")
        again = publisher.publish_to_channels(["mine", "third"], 1, idempotency_key="order-7")
    assert again[0].position == first.position
    assert stored(url, "mine", "theirs", "third") == [("mine", "1"), ("theirs", "3"), ("third", "1")]


def test_a_key_is_of_one_event_and_may_say_itself_what_makes_it_the_same(url: str) -> None:
    """sec F4."""
    with Publisher.from_url(url) as publisher:
        publisher.publish("a", {"n": 1}, idempotency_key="k")
        for data, type in (({"n": 2}, "message"), ({"n": 1}, "created")):
            with pytest.raises(IdempotencyConflictError, match="used for another event"):
                publisher.publish("a", data, type=type, idempotency_key="k")
        with pytest.raises(IdempotencyConflictError):
            publisher.publish_many(
                [{"channel": "a", "data": n, "idempotency_key": "l"} for n in (1, 2)] + [{"channel": "a", "data": 3}]
            )
        first = publisher.publish("a", {"at": 1}, idempotency_key=IdempotencyKey("m", fingerprint="ping"))
        assert (
            publisher.publish("a", {"at": 2}, idempotency_key=IdempotencyKey("m", fingerprint="ping")).position
            == first.position
        )
        with pytest.raises(IdempotencyConflictError):
            publisher.publish("a", {"at": 1}, idempotency_key=IdempotencyKey("m", fingerprint="status"))
    assert stored(url, "a") == [("a", '{"n":1}'), ("a", '{"at":1}')]


def test_threads_may_share_one(url: str) -> None:
    with Publisher.from_url(url) as publisher:
        threads = [
            threading.Thread(target=lambda n=n: [publisher.publish("a", n * 100 + i) for i in range(50)])
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    numbers = [int(data) for _, data in stored(url, "a")]
    assert sorted(numbers) == [n * 100 + i for n in range(4) for i in range(50)]
    for n in range(4):
        assert [x for x in numbers if x // 100 == n] == [n * 100 + i for i in range(50)], "each thread's order is kept"


def test_a_child_after_a_fork_opens_the_log_anew(url: str) -> None:
    """Processes of a job queue fork. The test runs in its own process, because this one might have threads."""
    program = f"""
import os
from app.flask_simulcast import Publisher
publisher = Publisher.from_url({url!r})
publisher.publish("a", "parent")
children = []
for n in range(3):
    pid = os.fork()
    if not pid:
        for i in range(100):
            publisher.publish("a", n)
        os._exit(0)
    children.append(pid)
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
publisher.publish("a", "after")
publisher.close()
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-W", "error", "-c", program], env=environment, check=True, timeout=60)
    data = [data for _, data in stored(url, "a")]
    assert (data[0], data[-1], len(data)) == ('"parent"', '"after"', 302)


def test_nothing_of_it_needs_a_patched_process_or_flask_context(url: str) -> None:
    program = f"""
from app.flask_simulcast import Publisher
with Publisher.from_url({url!r}) as publisher:
    publisher.publish("a", b"\\x00\\xff")
from gevent import monkey
assert not monkey.is_module_patched("socket")
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-W", "error", "-c", program], env=environment, check=True, timeout=60)
    assert stored(url, "a") == [("a", '{"data":"AP8=","encoding":"base64"}')]


def test_a_log_that_is_not_there_is_refused_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Friction 7: it published into a new log without listeners, and made the folders for it."""
    monkeypatch.chdir(tmp_path)
    for url in (f"sqlite:///{tmp_path}/none/log.db", "sqlite:///none/log.db"):
        with pytest.raises(BrokerUnavailableError, match=f"There is no log at {tmp_path}/none/log.db.*create=True"):
            Publisher.from_url(url)
    assert list(tmp_path.iterdir()) == []
    with Publisher.from_url("sqlite:///none/log.db", create=True) as publisher:
        publisher.publish("a", 1)
    assert stored(f"sqlite:///{tmp_path}/none/log.db", "a") == [("a", "1")]


def test_a_relative_path_begins_where_the_program_was_when_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Publisher.from_url("sqlite:///log.db", create=True) as publisher:
        monkeypatch.chdir("/")
        publisher.publish("a", 1)
    assert stored(f"sqlite:///{tmp_path}/log.db", "a") == [("a", "1")]


def test_a_wrong_url_or_setting_says_so(url: str) -> None:
    with pytest.raises(SettingError, match="names no broker"):
        Publisher.from_url("carrier-pigeon://")
    with pytest.raises(SettingError, match="SIMULCAST_HISTORY_EVENTS"):
        Publisher.from_url(url, history_events="many")
    with pytest.raises(
        SettingError, match=r"SIMULCAST_REDIS_SECONDS is not a setting\. Did you mean SIMULCAST_BROKER_S"
    ):
        Publisher.from_url(url, redis_seconds=1)


def test_publisher_refuses_a_log_in_memory() -> None:
    """An earlier version published into a log of its own, without an error."""
    with pytest.raises(SettingError, match=r"memory:// is a log of one process.*publish with simulcast\.publish"):
        Publisher.from_url("memory://")
