"""How fast one may speak."""

from __future__ import annotations

from dataclasses import dataclass

from app.features.chat.limits import Limits, Speaker
from app.web.errors import ApiError


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def says(limits: Limits, room: str, speaker: Speaker) -> str:
    """How long to wait; empty for what went through."""
    try:
        limits.check_message(room, speaker)
    except ApiError as error:
        assert (error.status, error.code) == (429, "chat_rate")
        return error.headers["Retry-After"]
    return ""


def test_a_burst_of_one_person_then_the_rate_and_no_other_person_waits() -> None:
    limits = Limits(1, 3, clock := Clock())
    ann, bob = Speaker("ann", "192.0.2.1"), Speaker("bob", "192.0.2.1")
    assert [says(limits, "a", ann) for _ in range(4)] == ["", "", "", "1"]
    assert says(limits, "b", ann) == says(limits, "a", bob) == ""
    clock.now += 1
    assert [says(limits, "a", ann) for _ in range(2)] == ["", "1"]


def test_an_address_may_say_ten_times_as_much_as_a_person() -> None:
    limits = Limits(1, 3, Clock())
    said = [says(limits, "a", Speaker(f"user{n}", "192.0.2.1")) for n in range(31)]
    assert said == [""] * 30 + ["1"]
    assert says(limits, "a", Speaker("user30", "192.0.2.2")) == "", "who was refused has lost nothing"


def test_a_backend_is_bound_for_each_whom_it_speaks_for() -> None:
    limits = Limits(1, 1, Clock())
    assert [says(limits, "a", Speaker(f"?user{n}", "")) for n in range(100)] == [""] * 100
    assert says(limits, "a", Speaker("?user0", "")) == "1"


def test_one_person_is_bound_over_all_rooms_together() -> None:
    """sec F11: 1500 messages in 1500 rooms went through, in two seconds."""
    limits = Limits(1, 3, clock := Clock())
    ann = Speaker("ann", "192.0.2.1")
    assert sum(says(limits, f"room{n}", ann) == "" for n in range(20_000)) == 15, "rooms can't push the bound out"
    assert says(limits, "room1", Speaker("bob", "192.0.2.1")) == ""
    clock.now += 1
    assert sum(says(limits, f"other{n}", ann) == "" for n in range(100)) == 5
    assert says(limits, "other0", ann) == "1"
    clock.now += 10
    assert [says(limits, "other99", ann) for _ in range(4)] == ["", "", "", "1"], "who was refused has lost nothing"


def test_one_address_is_bound_over_all_rooms_together() -> None:
    """sec F11."""
    limits = Limits(1, 3, Clock())
    said = [says(limits, f"room{n}", Speaker(f"user{n}", "192.0.2.1")) for n in range(200)]
    assert said == [""] * 150 + ["1"] * 50


def test_one_person_does_not_type_in_all_rooms_at_once() -> None:
    """sec F11."""
    limits = Limits(1, 3, Clock())
    assert sum(limits.takes_typing(f"room{n}", Speaker("ann", "")) for n in range(100)) == 5


def test_without_a_rate_there_is_no_bound() -> None:
    limits = Limits(0, 1, Clock())
    assert not any(says(limits, "a", Speaker("ann", "192.0.2.1")) for _ in range(1000))


def test_typing_is_told_once_a_second_for_a_person_and_ten_times_for_a_room() -> None:
    limits = Limits(1, 3, clock := Clock())
    ann = Speaker("ann", "")
    assert [limits.takes_typing("a", ann) for _ in range(3)] == [True, False, False]
    clock.now += 1
    assert limits.takes_typing("a", ann)
    assert sum(limits.takes_typing("a", Speaker(f"user{n}", "")) for n in range(50)) == 9
    assert limits.takes_typing("b", ann), "another room"
