"""The setting of the sources, the waits between polls, and the origins of what they list."""

from __future__ import annotations

import pytest
from msgspec import json

from app import config
from app.config import Source
from app.features.usage.fetch import Item
from app.features.usage.scheduler import wait_seconds
from app.flask_simulcast import SettingError

KEY = "SIMULCAST_USAGE_SOURCES"


def test_sources_are_read_from_text() -> None:
    read = config.read({KEY: "a 1 http://h/x, b.2 60.5 https://h/"})[KEY]
    assert read == (Source("a", 1, "http://h/x"), Source("b.2", 60.5, "https://h/"))
    assert config.read({}, {KEY: read})[KEY] == read
    assert config.read({})[KEY] == ()


@pytest.mark.parametrize(
    "value",
    [
        "just-a-name",
        "a x http://h/",
        "a 0 http://h/",
        "a/b 1 http://h/",
        "a 1 file:///etc/passwd",
        "a 1 http://h/,a 2 http://h/",
    ],
)
def test_a_source_that_can_not_be_used_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(SettingError, match=r"SOURCES=\(not shown\) .*Use for example .*=billing 60 https://") as raised:
        config.read({KEY: value})
    assert value not in str(raised.value)


def test_a_source_that_fails_is_asked_less_often() -> None:
    assert [wait_seconds(10, failures) for failures in (0, 1, 2, 5, 1000)] == [10, 20, 40, 300, 300]
    assert [wait_seconds(3600, failures) for failures in (0, 1, 1000)] == [3600, 3600, 3600]


def test_fields_that_others_add_are_ignored() -> None:
    text = b'{"creditsUsed": 1, "model": "x", "createdAt": "2026-01-02T03:04:05Z", "region": "eu", "id": 7}'
    item = json.decode(text, type=Item)
    assert (item.credits_used, item.model, item.id) == (1, "x", 7)
