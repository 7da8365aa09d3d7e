"""Read once, checked at start, wrong values named."""

from __future__ import annotations

import pytest

from app.config import KEYS
from app.flask_simulcast.errors import SettingError
from app.flask_simulcast.settings import Retention, Settings, misspelt


def test_text_from_an_environment_becomes_numbers() -> None:
    settings = Settings.from_config(
        {"SIMULCAST_HISTORY_EVENTS": "7", "SIMULCAST_HEARTBEAT_SECONDS": "2.5", "OTHER": 1, "SIMULCAST_OTHER": 2}
    )
    assert (settings.history_events, settings.heartbeat_seconds) == (7, 2.5)
    assert Settings.from_config({}) == Settings()


def test_the_longest_prefix_decides_how_much_is_kept() -> None:
    settings = Settings(history_channels={"chat:": [200, 86400], "chat:big:": (5, 10)}, history_seconds=60)
    assert settings.retention("chat:x") == Retention(200, 86400)
    assert settings.retention("chat:big:y") == Retention(5, 10)
    assert settings.retention("news") == Retention(1000, 60)
    assert settings.longest_history_seconds == 86400


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("HISTORY_EVENTS", "many", "is not a number"),
        ("HISTORY_EVENTS", -1, "is not between"),
        ("HISTORY_EVENTS", True, "is not a number"),
        ("HISTORY_EVENTS", [1], "is not a number"),
        ("HISTORY_EVENTS", 1.5, "is not a whole number"),
        ("RING_EVENTS", 10.5, "is not a whole number"),
        ("BROKER_URL", 5, "is not text"),
        ("HISTORY_CHANNELS", {"a": [float("inf"), 5]}, "does not map"),
        ("HEARTBEAT_SECONDS", 0, "is not between 0.1 and 3600"),
        ("HEARTBEAT_SECONDS", float("nan"), "is not between"),
        ("PAGE_BYTES", 10, "is not between"),
        ("SQLITE_COMMIT", "fast", "neither"),
        ("HISTORY_CHANNELS", {"a": 5}, "does not map"),
        ("HISTORY_CHANNELS", {"a": [-1, 5]}, "negative"),
        ("HISTORY_CHANNELS", "x", "does not map"),
    ],
)
def test_a_wrong_value_is_named_with_its_key_and_an_example(key: str, value: object, said: str) -> None:
    with pytest.raises(SettingError) as raised:
        Settings.from_config({f"SIMULCAST_{key}": value})
    message = str(raised.value)
    assert f"SIMULCAST_{key}={value!r}" in message
    assert said in message
    assert f"Use for example SIMULCAST_{key}=" in message


def test_a_misspelt_key_is_named_with_the_setting_that_is_nearest() -> None:
    """Friction 20: it was ignored in silence."""
    config = {"SIMULCAST_HEARTBEAT": 5, "SIMULCAST_BROKER_URI": "memory://", "SIMULCAST_max_listener": 1}
    known = {"SIMULCAST_HEARTBEAT_SECONDS": 5, "OTHER_HEARTBEAT": 1, "SIMULCAST_SHOP_COLOUR": "green", "SIMULCAST_": 1}
    assert misspelt(config | known) == {
        "SIMULCAST_HEARTBEAT": "SIMULCAST_HEARTBEAT_SECONDS",
        "SIMULCAST_BROKER_URI": "SIMULCAST_BROKER_URL",
        "SIMULCAST_max_listener": "SIMULCAST_MAX_LISTENERS",
    }
    assert misspelt({"SIMULCAST_BROKER": 1}, own={"SIMULCAST_BROKER"}) == {}
    assert misspelt(dict.fromkeys(KEYS, 1), KEYS) == {}


def test_numbers_are_what_their_setting_counts() -> None:
    with pytest.raises(SettingError, match="is not a whole number"):
        Settings.from_config({"SIMULCAST_HISTORY_EVENTS": "1.5"})
    settings = Settings.from_config({"SIMULCAST_HISTORY_EVENTS": "1e3", "SIMULCAST_HISTORY_SECONDS": "0.5"})
    assert (settings.history_events, settings.history_seconds) == (1000, 0.5)
    assert isinstance(settings.history_events, int)
    # A float that counts would raise where a list is cut, long after the start.
    assert isinstance(Settings.from_config({"SIMULCAST_RING_EVENTS": 10.0}).ring_events, int)
