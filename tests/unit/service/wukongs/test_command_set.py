"""The commands of wukongs: what is let through, and what each does."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.features.wukongs.command_set import COMMANDS, CommandError, carry_out, check

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


class Wukong:
    """Carries everything out, and remembers it."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    def status(self) -> dict[str, Any]:
        return {"cpu_percent": 1.5}

    def uptime(self) -> dict[str, Any]:
        return {"machine_seconds": 7}

    def set_interval(self, seconds: float) -> None:
        self.done.append(seconds)

    def processes(self, limit: int, by: str) -> list[dict[str, Any]]:
        self.done.append((limit, by))
        return []


@pytest.mark.parametrize(
    ("name", "args", "output", "done"),
    [
        ("status", {}, {"cpu_percent": 1.5}, []),
        ("uptime", {}, {"machine_seconds": 7}, []),
        ("set_interval", {"seconds": 0.2}, {"seconds": 0.2}, [0.2]),
        ("set_interval", {"seconds": 60}, {"seconds": 60}, [60]),
        ("processes", {}, {"processes": []}, [(10, "cpu")]),
        ("processes", {"limit": 50, "by": "memory"}, {"processes": []}, [(50, "memory")]),
    ],
)
def test_a_command_is_carried_out(name: str, args: object, output: object, done: list[Any]) -> None:
    wukong = Wukong()
    assert carry_out(check(name, args), wukong) == output
    assert wukong.done == done


def test_ping_is_answered_with_the_time() -> None:
    assert abs(carry_out(check("ping", {}), Wukong())["time"] / 1000 - time.time()) < 5


@pytest.mark.parametrize("name", ["", "sh", "Ping", "ping ", "__class__", None, 1, ["ping"], {}])
def test_what_is_not_in_the_set_is_refused(name: object) -> None:
    with pytest.raises(CommandError) as refused:
        check(name, {})
    assert refused.value.code == "unknown_command"
    assert "ping, status" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("ping", {"x": 1}),
        ("ping", None),
        ("ping", []),
        ("set_interval", {}),
        ("set_interval", {"seconds": 0.19}),
        ("set_interval", {"seconds": 60.1}),
        ("set_interval", {"seconds": -1}),
        ("set_interval", {"seconds": float("nan")}),
        ("set_interval", {"seconds": float("inf")}),
        ("set_interval", {"seconds": "1"}),
        ("set_interval", {"seconds": True}),
        ("processes", {"limit": 0}),
        ("processes", {"limit": 51}),
        ("processes", {"limit": 2.5}),
        ("processes", {"by": "disk"}),
        ("processes", {"limit": 5, "command": "ls"}),
    ],
)
def test_arguments_out_of_bounds_are_refused(name: str, args: object) -> None:
    with pytest.raises(CommandError) as refused:
        check(name, args)
    assert refused.value.code == "invalid_args"


@given(st.sampled_from(list(COMMANDS)) | JSON, JSON)
def test_whatever_is_sent_is_a_command_or_a_refusal(name: object, args: object) -> None:
    wukong = Wukong()
    try:
        carry_out(check(name, args), wukong)
    except CommandError as error:
        assert error.code in ("unknown_command", "invalid_args")
        assert wukong.done == []
