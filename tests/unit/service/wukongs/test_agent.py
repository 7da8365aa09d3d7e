"""The agent's pure parts: each command once, and where its calls go."""

from __future__ import annotations

from typing import Any

import pytest

from app.features.wukongs.agent.inbox import Inbox, Order
from app.features.wukongs.agent.reports import target_of
from app.flask_simulcast.client import ReceivedEvent

MINE = "wukong-agent.n"


def command(id: str, *, channel: str | None = MINE, time_ms: int = 1000, type: str = "command") -> ReceivedEvent:
    return ReceivedEvent(type, {"id": id, "command": "ping", "args": {}}, channel, f"{time_ms}-0-00000001")


def test_a_command_that_comes_again_is_not_run_again() -> None:
    inbox = Inbox(MINE)
    assert inbox.read(command("a")) == Order("a", "ping", {})
    assert inbox.read(command("a")) is None
    assert inbox.read(command("a", time_ms=2000)) is None, "published twice"


def test_an_id_is_a_new_command_when_its_key_may_be_used_again() -> None:
    """The service knows a key for 300 s."""
    inbox = Inbox(MINE)
    assert isinstance(inbox.read(command("nightly", time_ms=1_000_000)), Order)
    assert inbox.read(command("nightly", time_ms=1_299_999)) is None
    assert isinstance(inbox.read(command("nightly", time_ms=1_300_000)), Order)
    assert inbox.read(command("nightly", time_ms=1_300_000)) is None
    assert inbox.read(ReceivedEvent("command", {"id": "nightly"}, MINE, "x")) is None


def test_only_its_own_channel_commands_an_agent() -> None:
    inbox = Inbox(MINE)
    for other in ("all", "user:n", "listener:0011223344556677", "wukong-agent.m", None):
        assert inbox.read(command("a", channel=other)) is None
    assert inbox.read(command("a", type="note")) is None
    assert isinstance(inbox.read(command("a")), Order)


@pytest.mark.parametrize("data", [None, [], "x", {}, {"id": 1}, {"id": ""}, {"id": "x" * 65}])
def test_a_command_without_an_id_can_not_be_answered_and_is_passed_over(data: Any) -> None:
    assert Inbox(MINE).read(ReceivedEvent("command", data, MINE, "1000-0-00000001")) is None


def test_the_ids_that_are_kept_are_bounded() -> None:
    inbox = Inbox(MINE)
    for number in range(5000):
        assert isinstance(inbox.read(command(str(number))), Order)
    assert len(inbox._begun) == 1000
    assert inbox.read(command("4001")) is None


def test_calls_go_to_the_host_and_the_port_of_the_url() -> None:
    targets = {
        "https://live.example/": "live.example:443",
        "HTTP://127.0.0.1": "127.0.0.1:80",
        "http://[::1]:50051": "[::1]:50051",
        "https://[2001:db8::1]": "[2001:db8::1]:443",
    }
    assert {url: target_of(url) for url in targets} == targets
