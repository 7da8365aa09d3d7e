"""Token buckets: what fits goes at once, what does not is told when it will."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.errors import ApiError
from app.web.limits import Buckets, PublishLimits


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:  # type: ignore[override]
    return Clock()


def refusal(limits: PublishLimits, events: int, user: str = "", address: str = "") -> ApiError:
    with pytest.raises(ApiError) as refused:
        limits.check(events, user, address)
    return refused.value


def test_a_burst_goes_at_once_and_then_the_rate(clock: Clock) -> None:
    limits = PublishLimits(Buckets(10, 50, clock), None)
    for _ in range(50):
        limits.check(1, "bob", "")
    assert refusal(limits, 1, "bob").status == 429
    clock.now += 0.1
    limits.check(1, "bob", "")
    assert refusal(limits, 1, "bob").code == "publish_rate"


def test_retry_after_is_when_it_fits(clock: Clock) -> None:
    limits = PublishLimits(Buckets(10, 50, clock), None)
    limits.check(50, "bob", "")
    seconds = int(refusal(limits, 45, "bob").headers["Retry-After"])
    assert seconds == 5
    clock.now += 4.4
    assert refusal(limits, 45, "bob").headers["Retry-After"] == "1"
    clock.now += 0.6
    limits.check(45, "bob", "")


def test_a_refused_request_takes_nothing(clock: Clock) -> None:
    limits = PublishLimits(Buckets(10, 50, clock), Buckets(10, 20, clock))
    assert refusal(limits, 30, "bob", "192.0.2.1").status == 413
    limits.check(20, "bob", "192.0.2.1")
    assert refusal(limits, 1, "bob", "192.0.2.1").code == "publish_rate"
    limits.check(30, "bob", "")


def test_more_than_the_burst_is_told_that_it_never_fits(clock: Clock) -> None:
    error = refusal(PublishLimits(Buckets(10, 50, clock), None), 51, "bob")
    assert (error.status, error.code) == (413, "publish_burst")
    assert "50" in str(error)
    assert "Retry-After" not in error.headers


def test_one_user_does_not_slow_another(clock: Clock) -> None:
    limits = PublishLimits(Buckets(1, 5, clock), None)
    limits.check(5, "bob", "")
    limits.check(5, "alice", "")
    assert refusal(limits, 1, "bob").status == 429


def test_a_grant_without_a_name_is_bound_by_its_address_alone(clock: Clock) -> None:
    limits = PublishLimits(Buckets(1, 5, clock), Buckets(1, 10, clock))
    limits.check(10, "", "192.0.2.1")
    assert refusal(limits, 1, "", "192.0.2.1").status == 429
    limits.check(1, "", "192.0.2.2")


def test_an_unknown_address_is_not_bound(clock: Clock) -> None:
    limits = PublishLimits(None, Buckets(1, 5, clock))
    for _ in range(20):
        limits.check(5, "", "")


def test_buckets_are_bounded_and_the_one_unused_longest_is_forgotten(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.web.limits._MAX_BUCKETS", 3)
    buckets = Buckets(1, 5, clock)
    for name in ("a", "b", "c", "a", "d"):
        buckets.take(name, 1)
    assert list(buckets._buckets) == ["c", "a", "d"]
    assert buckets.wait("b", 5) == 0


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 12)), max_size=60))
def test_never_more_than_the_burst_and_the_rate(requests: list[tuple[float, int]]) -> None:
    clock = Clock()
    buckets = Buckets(4, 10, clock)
    begin, taken = clock.now, 0
    for pause, tokens in requests:
        clock.now += pause
        if buckets.wait("a", tokens) == 0:
            buckets.take("a", tokens)
            taken += tokens
        assert taken <= 10 + 4 * (clock.now - begin) + 1e-6


@given(st.integers(1, 10), st.integers(1, 10))
def test_a_client_that_waits_as_told_gets_in(first: int, second: int) -> None:
    clock = Clock()
    buckets = Buckets(3, 10, clock)
    buckets.take("a", first)
    clock.now += buckets.wait("a", second) + 1e-9
    assert buckets.wait("a", second) == 0
