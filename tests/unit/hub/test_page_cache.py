"""Pages of history that listeners at other places share."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from app.flask_simulcast.event import Position
from app.flask_simulcast.hub.page_cache import PageCache, Written
from app.flask_simulcast.testing import FakeClock

PAGE = Written(b"abbccc", [11, 12, 14], [0, 1, 3], Position(20, 0), {"c": Position(11, 0), "d": Position(13, 0)}, True)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> PageCache:
    """Two pages, for 10 s."""
    monkeypatch.setattr("app.flask_simulcast.hub.page_cache.time", SimpleNamespace(monotonic=clock.monotonic))
    return PageCache(places=2, seconds=10)


def found(cache: PageCache, key: int, audience: str = "a") -> Written | None:
    return cache.find(audience, Position(key, 0))


def test_page_is_found_where_it_begins_by_its_audience_alone(cache: PageCache) -> None:
    cache.put("a", Position(10, 0), PAGE)
    assert found(cache, 10) is PAGE
    assert found(cache, 9) is None
    assert found(cache, 20) is None
    assert found(cache, 10, "b") is None


@pytest.mark.parametrize(
    ("key", "chunk", "keys", "offsets", "marks"),
    [
        (11, b"bbccc", [12, 14], [0, 2], ["d"]),
        (12, b"ccc", [14], [0], ["d"]),
        (13, b"ccc", [14], [0], []),
        (14, b"", [], [], []),
        (19, b"", [], [], []),
    ],
)
def test_listener_in_the_middle_of_a_page_gets_the_rest_of_it(
    cache: PageCache, key: int, chunk: bytes, keys: list[int], offsets: list[int], marks: list[str]
) -> None:
    cache.put("a", Position(10, 0), PAGE)
    rest = found(cache, key)
    assert rest is not None
    assert (rest.chunk, rest.keys, rest.offsets, list(rest.marks)) == (chunk, keys, offsets, marks)
    assert (rest.covered_to, rest.is_full) == (PAGE.covered_to, PAGE.is_full)


def test_page_is_there_for_its_time_alone(cache: PageCache, clock: FakeClock) -> None:
    cache.put("a", Position(10, 0), PAGE)
    clock.advance(9)
    cache.put("a", Position(10, 0), PAGE._replace(is_full=False))
    clock.advance(9)
    assert found(cache, 10) == PAGE._replace(is_full=False)
    clock.advance(1)
    assert found(cache, 10) is None


def test_oldest_page_goes_where_there_is_no_room(cache: PageCache) -> None:
    for start in (10, 30, 10, 50):
        cache.put("a", Position(start, 0), PAGE._replace(covered_to=Position(start + 10, 0)))
    assert [found(cache, start) is not None for start in (10, 30, 50)] == [True, False, True]


def test_cleared_cache_has_no_page(cache: PageCache) -> None:
    cache.put("a", Position(10, 0), PAGE)
    cache.clear()
    assert found(cache, 10) is None
