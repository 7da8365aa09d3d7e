"""Read once, checked at start, wrong values named."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from app.config import KEYS, TABLE, read
from app.flask_simulcast.errors import SettingError
from app.flask_simulcast.settings import ROWS, Retention, Settings, misspelt


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
        ("HISTORY_BYTES", 2e6 + 0.5, "is not a whole number"),
        ("BROKER_URL", 5, "is not text"),
        ("HISTORY_CHANNELS", {"a": [float("inf"), 5]}, "does not map"),
        ("HEARTBEAT_SECONDS", 0, "is not between 0.1 and 3600"),
        ("HEARTBEAT_SECONDS", float("nan"), "is not between"),
        ("QUEUE_BYTES", 10, "is not between"),
        ("SQLITE_COMMIT_IN_THREAD", "fast", "neither"),
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
    others = {"SIMULCAST_HEARTBEAT_SECONDS": 5, "OTHER_HEARTBEAT": 1, "SIMULCAST_SHOP_COLOUR": "green"}
    assert misspelt(config | others) == {
        "SIMULCAST_HEARTBEAT": "SIMULCAST_HEARTBEAT_SECONDS",
        "SIMULCAST_BROKER_URI": "SIMULCAST_BROKER_URL",
        "SIMULCAST_max_listener": "SIMULCAST_MAX_LISTENERS",
        "SIMULCAST_SHOP_COLOUR": "",
    }
    assert misspelt({"SIMULCAST_BROKER": 1}, own={"SIMULCAST_BROKER"}) == {}
    assert misspelt(dict.fromkeys(KEYS, 1), KEYS) == {}


def test_a_setting_of_the_service_has_no_effect_in_an_app_and_that_is_told() -> None:
    assert set(misspelt(dict.fromkeys(KEYS, 1))) == KEYS


def test_a_former_name_is_answered_with_the_new_one() -> None:
    former = {"SIMULCAST_REDIS_SECONDS": 1, "SIMULCAST_SQLITE_COMMIT": "thread", "SIMULCAST_WEBSOCKET_QUEUE_BYTES": 1}
    assert misspelt(former) == {
        "SIMULCAST_REDIS_SECONDS": "SIMULCAST_BROKER_SECONDS",
        "SIMULCAST_SQLITE_COMMIT": "SIMULCAST_SQLITE_COMMIT_IN_THREAD",
        "SIMULCAST_WEBSOCKET_QUEUE_BYTES": "SIMULCAST_QUEUE_BYTES",
    }
    for row in (*TABLE, *ROWS):
        for name in row.was:
            with pytest.raises(SettingError, match=f"Did you mean {row.key}"):
                read({f"SIMULCAST_{name.upper()}": "1"})


def test_no_name_stands_in_both_tables() -> None:
    names = [name for row in (*TABLE, *ROWS) for name in (row.name, *row.was)]
    assert sorted(names) == sorted(set(names))


def test_every_setting_is_explained_in_plain_words_and_stands_on_one_shelf() -> None:
    rows = (*TABLE, *ROWS)
    assert sum(row.shelf.startswith("Set these five") for row in rows) == 5
    assert len(rows) <= 65, "a new setting needs a reason that an operator would give"
    for row in rows:
        assert re.fullmatch(r"[A-Z].*\.", row.help), row.key
        assert row.read(row.default) is not None, row.key
        assert row.key.endswith(("_SECONDS", "_MS", "_BYTES", "_RATE", "_PER_ADDRESS")) or row.unit not in (
            "s",
            "ms",
            "bytes",
        )


def test_key_of_the_upstream_can_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-1\n")
    name = "SIMULCAST_COMPLETIONS_KEY"
    assert read({name: f"@{file}"})[name] == read({name: "sk-1"})[name] == "sk-1"
    file.write_text("sk-1\nsk-2")
    for wrong in (f"@{tmp_path}/none", f"@{file}", "sk 1", "sk-é"):
        with pytest.raises(SettingError, match=name) as error:
            read({name: wrong})
        assert "sk" not in str(error.value).replace(name, "")


def test_what_kubernetes_gives_a_container_is_no_setting() -> None:
    links = {
        "SIMULCAST_SERVICE_HOST": "10.0.0.1",
        "SIMULCAST_SERVICE_PORT_HTTP": "80",
        "SIMULCAST_PORT": "tcp://10.0.0.1:80",
    }
    assert read({**links, "SIMULCAST_PORT_80_TCP_ADDR": "10.0.0.1"}) == read({})
    with pytest.raises(SettingError, match="SIMULCAST_PORTS is not a setting"):
        read({"SIMULCAST_PORTS": "80"})


def test_a_list_is_read_alike_in_both_tables() -> None:
    given = {"SIMULCAST_ANONYMOUS_CHANNELS": " a, b.* ,", "SIMULCAST_TRUSTED_HOSTS": "A.example,"}
    assert (read(given)["SIMULCAST_ANONYMOUS_CHANNELS"], read(given)["SIMULCAST_TRUSTED_HOSTS"]) == (
        ("a", "b.*"),
        ("a.example",),
    )
    assert Settings.from_config({"SIMULCAST_PRESENCE_CHANNELS": " a, b.* ,"}).presence_channels == ("a", "b.*")
    for key in ("SIMULCAST_ANONYMOUS_CHANNELS", "SIMULCAST_PRESENCE_CHANNELS"):
        with pytest.raises(
            SettingError, match=rf"{key}='a\*b' has a star before the end of a name. Use for example {key}="
        ):
            Settings.from_config(read({key: "a*b"}))


def test_true_and_false_have_several_spellings() -> None:
    for given in (True, 1, "1", "true", "On", "YES"):
        assert Settings.from_config({"SIMULCAST_WEBSOCKET_COMPRESSION": given}).websocket_compression is True
    for given in (False, 0, "0", "false", "off", "No", ""):
        assert Settings.from_config({"SIMULCAST_EVENTSOURCE_REFUSALS": given}).eventsource_refusals is False
    with pytest.raises(SettingError, match="neither true nor false"):
        read({"SIMULCAST_CHAT_ANONYMOUS": "perhaps"})


def test_settings_of_settings_are_the_same() -> None:
    settings = Settings(history_channels='{"a": [1, 2]}', allowed_origins="https://a.example")  # type: ignore[arg-type]
    assert replace(settings) == settings


def test_numbers_are_what_their_setting_counts() -> None:
    with pytest.raises(SettingError, match="is not a whole number"):
        Settings.from_config({"SIMULCAST_HISTORY_EVENTS": "1.5"})
    settings = Settings.from_config({"SIMULCAST_HISTORY_EVENTS": "1e3", "SIMULCAST_HISTORY_SECONDS": "0.5"})
    assert (settings.history_events, settings.history_seconds) == (1000, 0.5)
    assert isinstance(settings.history_events, int)
    # A float that counts would raise where a list is cut, long after the start.
    assert isinstance(Settings.from_config({"SIMULCAST_HISTORY_EVENTS": 10.0}).history_events, int)
