"""The agent's pure parts: each command once, and how long to wait."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.features.wukongs.agent.backoff import Backoff, parse_retry_after
from app.features.wukongs.agent.connection import Address
from app.features.wukongs.agent.errors import AwayError
from app.features.wukongs.agent.inbox import Connected, Gap, Goodbye, Inbox, Order

MINE = "wukong-agent.n"


def line(type: str, data: Any, id: str | None = None, channel: str | None = MINE, time: Any = 1000) -> bytes:
    event = {"id": id, "channel": channel, "type": type, "data": data, "time": time}
    return json.dumps({name: value for name, value in event.items() if value is not None}).encode()


def command(id: str, position: str, **more: Any) -> bytes:
    return line("command", {"id": id, "command": "ping", "args": {}}, position, **more)


def test_the_position_is_that_of_the_last_command_that_was_handled() -> None:
    inbox = Inbox(MINE)
    assert isinstance(inbox.read(line("connected", {"listener": "x"}, "p0", channel=None)), Connected)
    assert inbox.position == "p0"
    order = inbox.read(command("a", "p1"))
    assert order == Order("a", "ping", {}, "p1")
    assert inbox.position == "p0", "cut off now, it must come again"
    inbox.handled(order)
    assert inbox.position == "p1"
    assert inbox.read(line("heartbeat", {"time": 1}, "p5", channel=None)) is None
    assert inbox.position == "p5"


def test_a_command_that_comes_again_is_not_run_again() -> None:
    inbox = Inbox(MINE)
    assert isinstance(inbox.read(command("a", "p1")), Order)
    assert inbox.read(command("a", "p1")) is None
    assert inbox.position == "p1"
    assert inbox.read(command("a", "p9")) is None, "published twice"


def test_an_id_is_a_new_command_when_its_key_may_be_used_again() -> None:
    """The service knows a key for 300 s."""
    inbox = Inbox(MINE)
    assert isinstance(inbox.read(command("nightly", "p1", time=1_000_000)), Order)
    assert inbox.read(command("nightly", "p2", time=1_299_999)) is None
    assert isinstance(inbox.read(command("nightly", "p3", time=1_300_000)), Order)
    assert inbox.read(command("nightly", "p3", time=1_300_000)) is None
    assert inbox.read(command("nightly", "p4", time="x")) is None


def test_only_its_own_channel_commands_an_agent() -> None:
    inbox = Inbox(MINE)
    for other in ("all", "user:n", "listener:0011223344556677", "wukong-agent.m"):
        assert inbox.read(command("a", "p1", channel=other)) is None
    assert inbox.read(line("note", {"id": "a"}, "p2")) is None
    assert isinstance(inbox.read(command("a", "p3")), Order)


@pytest.mark.parametrize("data", [None, [], "x", {}, {"id": 1}, {"id": ""}, {"id": "x" * 65}])
def test_a_command_without_an_id_can_not_be_answered_and_is_passed_over(data: Any) -> None:
    inbox = Inbox(MINE)
    assert inbox.read(line("command", data, "p1")) is None
    assert inbox.position == "p1"


def test_a_gap_and_a_goodbye_move_nothing() -> None:
    inbox = Inbox(MINE)
    inbox.read(line("connected", {}, "p0", channel=None))
    assert inbox.read(line("gap", {"reason": "trimmed"}, channel=None)) == Gap("trimmed")
    assert inbox.read(line("closed", {"reason": "expired", "reconnect": False}, "end", channel=None)) == Goodbye(
        "expired"
    )
    assert inbox.position == "p0"


def test_the_ids_that_are_kept_are_bounded() -> None:
    inbox = Inbox(MINE)
    for number in range(5000):
        assert isinstance(inbox.read(command(str(number), f"p{number}")), Order)
    assert len(inbox._begun) == 1000
    assert inbox.read(command("4001", "q")) is None


@given(st.binary())
def test_any_line_is_understood_or_is_not_the_services(text: bytes) -> None:
    with suppress(AwayError):
        Inbox(MINE).read(text)


def test_waits_double_up_to_half_a_minute_and_begin_anew_after_a_success() -> None:
    backoff = Backoff(spread=lambda low, high: high)
    assert [backoff.wait() for _ in range(9)] == [0.75, 1.5, 3, 6, 12, 24, 45, 45, 45]
    backoff.reset()
    assert backoff.wait() == 0.75


@given(st.floats(0, 300), st.integers(0, 8))
def test_a_wait_is_never_shorter_than_the_service_asked_for(retry_after: float, tries: int) -> None:
    backoff = Backoff()
    for _ in range(tries):
        backoff.wait()
    assert backoff.wait(retry_after) >= retry_after


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("0", 0),
        ("17", 17),
        ("99999999999999999999", 300),
        ("-1", None),
        ("soon", None),
        ("٣", None),
        ("Sat, 21 Nov 2026 10:00:30 GMT", 30),
        ("Sat, 21 Nov 2026 09:00:00 GMT", 0),
        ("Sun, 22 Nov 2026 10:00:00 GMT", 300),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, datetime(2026, 11, 21, 10, tzinfo=UTC)) == seconds


def test_an_address_may_have_a_port_and_a_prefix() -> None:
    assert Address.parse("https://simulcast.example") == ("https", "simulcast.example", None, "")
    assert Address.parse("http://[::1]:8000/live/") == ("http", "::1", 8000, "/live")


@pytest.mark.parametrize(
    "url", ["", "simulcast.example", "ftp://x", "http://", "http://x?a=1", "http://u:p@x", "http://x:y"]
)
def test_what_is_no_address_of_a_service_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|Port|port"):
        Address.parse(url)
