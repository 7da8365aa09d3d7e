"""A cache that forgets by age and by count."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from app.flask_simulcast.hub.ttl_cache import TTLCache
from app.flask_simulcast.testing import FakeClock


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> TTLCache[str]:
    """Two answers, for 10 s."""
    monkeypatch.setattr("app.flask_simulcast.hub.ttl_cache.time", SimpleNamespace(monotonic=clock.monotonic))
    return TTLCache(places=2, seconds=10)


def test_answer_is_there_for_its_time_alone(cache: TTLCache[str], clock: FakeClock) -> None:
    cache.put("a", "1")
    clock.advance(9)
    assert cache.get("a") == "1"
    clock.advance(1)
    assert cache.get("a") is None


def test_new_answer_replaces_the_old_one_and_has_its_full_time(cache: TTLCache[str], clock: FakeClock) -> None:
    cache.put("a", "1")
    clock.advance(9)
    cache.put("a", "2")
    clock.advance(9)
    assert cache.get("a") == "2"


def test_oldest_answer_goes_where_there_is_no_room(cache: TTLCache[str]) -> None:
    for key in ("a", "b", "a", "c"):
        cache.put(key, key)
    assert [cache.get(key) for key in ("a", "b", "c")] == ["a", None, "c"]


def test_cleared_cache_has_no_answer(cache: TTLCache[str]) -> None:
    cache.put("a", "1")
    cache.clear()
    assert cache.get("a") is None
