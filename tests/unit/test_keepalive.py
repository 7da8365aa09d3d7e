"""Keepalive: values that follow from each other and from the heartbeat; judged by a model of what the kernel does with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.flask_simulcast.keepalive import PATIENCE_SECONDS, Keepalive, keepalive_for
from app.flask_simulcast.settings import ROWS, Settings

HEARTBEATS = (5, 15, 30, 120)
HEARTBEAT = next(row for row in ROWS if row.name == "heartbeat_seconds")
any_heartbeat = st.floats(HEARTBEAT.read.minimum, HEARTBEAT.read.maximum)


def ended_at(keepalive: Keepalive, lost: int) -> int | None:
    """Return when the kernel ends an idle connection if a number of probes in a row get no answer; None if it does not."""
    silent = keepalive.idle_seconds
    for probe in range(1000):
        if silent >= keepalive.user_timeout_seconds and probe > 0:
            return silent
        if probe >= lost:
            return None
        silent += keepalive.interval_seconds
    raise AssertionError("it goes on for ever")


@pytest.mark.parametrize("heartbeat", HEARTBEATS)
def test_idle_listener_is_not_cut_by_a_few_lost_probes(heartbeat: float) -> None:
    """scale-2 7.1: with 15 + 5 = 20 s the first lost probe ended a connection."""
    keepalive = keepalive_for(heartbeat)
    assert ended_at(keepalive, lost=9) is None
    assert ended_at(keepalive, lost=1000) == keepalive.user_timeout_seconds


def test_what_was_before_is_refused() -> None:
    with pytest.raises(ValueError, match="sends its last probe after 25 s"):
        Keepalive(idle_seconds=15, interval_seconds=5, probes=3, user_timeout_seconds=20)
    with pytest.raises(ValueError, match="too few probes"):
        Keepalive(idle_seconds=15, interval_seconds=5, probes=1, user_timeout_seconds=20)


@given(any_heartbeat)
def test_vanished_client_is_gone_within_the_heartbeat_and_20_s(heartbeat: float) -> None:
    keepalive = keepalive_for(heartbeat)
    assert keepalive.gone_after_seconds(heartbeat) <= heartbeat + PATIENCE_SECONDS
    assert ended_at(keepalive, lost=keepalive.probes - 1) is None
    assert ended_at(keepalive, lost=1000) == keepalive.user_timeout_seconds


@given(any_heartbeat, any_heartbeat)
def test_shortest_heartbeat_of_several_apps_is_right_for_all(one: float, other: float) -> None:
    keepalive = keepalive_for(min(one, other))
    assert keepalive.gone_after_seconds(max(one, other)) <= max(one, other) + PATIENCE_SECONDS


@given(any_heartbeat)
def test_system_without_a_user_timeout_counts_to_the_same_moment(heartbeat: float) -> None:
    keepalive = keepalive_for(heartbeat)
    assert keepalive.idle_seconds + keepalive.probes * keepalive.interval_seconds == keepalive.user_timeout_seconds
    assert 0 < keepalive.probes <= 127 and keepalive.idle_seconds <= 32767, "what Linux takes"


def test_default_asks_an_idle_client_once_between_two_heartbeats() -> None:
    assert keepalive_for(Settings().heartbeat_seconds).options == {
        "TCP_KEEPIDLE": 10,
        "TCP_KEEPINTVL": 1,
        "TCP_KEEPCNT": 10,
        "TCP_USER_TIMEOUT": 20_000,
    }
