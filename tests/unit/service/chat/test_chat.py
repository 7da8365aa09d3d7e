"""What people may be called and may say; who is taken for whom; how fast one may speak."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.features.chat.access import SPEAK
from app.features.chat.events import Person, channel_of, channels_of, told
from app.features.chat.limits import Limits, Speaker
from app.features.chat.texts import check_name, check_room, clean_text, is_same_name
from app.flask_simulcast import Event, Grant, Position
from app.web.errors import ApiError

ANN = Person("ann", is_verified=True)
SOMEBODY = Person("ann", is_verified=False)


def refused(check: object, text: str) -> str:
    assert callable(check)
    with pytest.raises(ApiError) as error:
        check(text)
    assert error.value.status == 400
    return error.value.code


# Names and texts


@pytest.mark.parametrize(
    "name", ["a", "Ann Lee", "小明", "Алёна", "O’Neil", "<b>", "🐒", "👩‍💻", "می‌خواهم", "é" * 64, "\U0001fae9", "a?"]
)
def test_a_name_is_what_can_be_seen(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        " ann", "ann ", "?ann", "a" * 65, "a\nb", "a\tb", "a\0b", "a\x7fb", "a\u200bb", "a\u202eb", "a\u2028b", "a\u00a0b",
        "a\ud800b", "a\ufffdb", "\u0301", "\u200c", " ", "ann\u200d", "a\u2066b", "\ufeffann",
    ],
)  # fmt: skip
def test_a_name_that_hides_something_is_refused(name: str) -> None:
    assert refused(check_name, name) == "user_name"


@pytest.mark.parametrize(
    "character", [*"\u2800\u3164\uffa0\u115f\u1160\u034f\ufe0f\u17b4\u180b\U000e0100\U000e0041\U0001d159\u00ad"]
)
def test_an_invisible_name_and_one_that_looks_like_anns_are_refused(character: str) -> None:
    """sec F10."""
    for name in (character, f"ann{character}", f"{character}ann", f"a{character}nn"):
        assert refused(check_name, name) == "user_name", ascii(name)


@pytest.mark.parametrize(
    "name",
    [
        "a\u200dnn",
        "a\u200cnn",
        "\u0645\u0627\u200c\u0646",
        "\u0645\u200cn",
        "\U0001f412\u200c\U0001f412",
        "a\u0301\u200db",
    ],
)
def test_a_joiner_where_no_script_needs_it_is_refused(name: str) -> None:
    """sec F10: it can't be seen there, after an Arabic letter that does not join, for example."""
    assert refused(check_name, name) == "user_name"


@pytest.mark.parametrize(
    "name", ["\u0915\u094d\u200d\u0937", "\u0915\u094d\u200c\u0937", "\u0dc1\u0dca\u200d\u0dbb\u0dd3"]
)
def test_a_joiner_where_a_script_needs_it_is_taken(name: str) -> None:
    assert check_name(name) == name


def test_one_name_is_one_person_composed_or_not() -> None:
    """sec F10: NFC and NFD were two people."""
    assert check_name("Jose\u0301") == check_name("Jos\u00e9") == "Jos\u00e9"
    assert check_name("\u1112\u1161\u11ab") == "\ud55c"
    assert check_name("e\u0301" * 64) == "\u00e9" * 64
    assert refused(check_name, "e\u0301" * 65) == "user_name"
    assert is_same_name("Jose\u0301", "Jos\u00e9")
    assert not is_same_name("Jose", "Jos\u00e9")


def test_accents_do_not_pile_up_over_other_lines() -> None:
    """sec F10: sixty on one letter were taken."""
    assert refused(check_name, "a" + "\u0301" * 60) == "user_name"
    assert refused(check_name, "a\u0316\u0316\u0316\u0316\u0316nn") == "user_name"
    assert refused(check_name, "\u0301ann") == "user_name", "it would stand on what is before the name"
    # Hebrew, Thai, Burmese, Vietnamese with accents that have no composed form.
    for name in (
        "\u05e9\u05c1\u05bc\u05b8\u05dc\u05d5\u05b9\u05dd",
        "\u0e01\u0e35\u0e49",
        "\u1000\u103c\u103d\u103e\u102d\u1037",
        "a\u0316\u0316",
    ):
        assert unicodedata.normalize("NFC", name) == check_name(name)


def test_two_spaces_that_a_page_shows_as_one_are_refused() -> None:
    assert refused(check_name, "Ann  Lee") == "user_name"


@pytest.mark.parametrize(
    "text",
    [
        "\u202egnp.exe", "a\u202dz\u202c", "\u2067open", "\u202bopen", "closed\u2069", "closed\u202c", "\u2066a\u202bb\u2069c\u202c",
        "\u2067a\nb\u2069",
    ],
)  # fmt: skip
def test_a_message_does_not_turn_the_text_around_it(text: str) -> None:
    """sec F10."""
    assert refused(clean_text, text) == "message_text"


@pytest.mark.parametrize(
    "text", ["\u2067\u05d0\u2069 is \u202ba\u2066b\u2069c\u202c.", "\u200f\u05d0!\u200e", "\u061ca"]
)
def test_a_message_may_have_directions_that_end_in_it(text: str) -> None:
    assert clean_text(text) == text


def test_no_name_is_no_user() -> None:
    assert refused(check_name, "") == "no_user"


@given(st.text(alphabet=st.characters(), max_size=70))
def test_any_text_is_a_name_or_is_refused_by_name(text: str) -> None:
    try:
        name = check_name(text)
        assert name == unicodedata.normalize("NFC", text)
        assert check_name(name) == name
    except ApiError as error:
        assert (error.status, error.code) in {(400, "no_user"), (400, "user_name")}
        assert str(error).isascii(), "what was refused does not get into a log as it is"
    else:
        assert 1 <= len(text) <= 64
        assert len(text.splitlines()) == 1
        text.encode()


@given(st.text(alphabet=st.characters(), max_size=5000))
@example("a\r\nb\rc\td")
@example("x" * 4000)
@example("x" * 4001)
@example("\r\n" * 3000 + "x")
def test_any_text_can_be_said_with_lf_alone_or_is_refused_by_name(text: str) -> None:
    try:
        said = clean_text(text)
    except ApiError as error:
        assert (error.status, error.code) == (400, "message_text")
    else:
        assert said.strip()
        assert len(said) <= 4000
        assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f]", said)
        assert said == clean_text(said)
        assert said.encode().decode() == re.sub("\r\n?", "\n", text)


@given(st.text(max_size=70))
@example("a" * 64)
@example("a\n")
@example("a:typing")
def test_a_room_is_a_channel_of_its_own_or_is_refused(text: str) -> None:
    if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text, re.ASCII):
        assert check_room(text) == text
    else:
        assert refused(check_room, text) == "room_name"


# Who is taken for whom


@given(st.text(min_size=1, max_size=64), st.booleans(), st.text(min_size=1, max_size=64), st.booleans())
def test_two_people_are_never_one_member(one: str, one_is: bool, other: str, other_is: bool) -> None:
    people = []
    for name, is_verified in ((one, one_is), (other, other_is)):
        try:
            people.append(Person(check_name(name), is_verified))
        except ApiError:
            return
    assert (people[0].member == people[1].member) == (people[0] == people[1])
    assert [Person.of_member(person.member) for person in people] == people


@given(st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True))
def test_who_may_speak_in_all_rooms_may_not_publish_to_their_channels(room: str) -> None:
    grant = Grant(user="ann", subscribe=["chat.*"], publish=["chat.*"])
    assert grant.may_publish(SPEAK.channel({"room": room}))
    assert not any(grant.may_publish(channel) or grant.may_subscribe(channel) for channel in channels_of(room))


def test_comings_and_goings_are_told_by_the_names_of_the_chat() -> None:
    position = Position(1, 2)
    channel = "presence:" + channel_of("lobby")
    for type, renamed, person in (("join", "user-join", ANN), ("leave", "user-leave", SOMEBODY)):
        fact = json.dumps({"member": person.member, "meta": {"secret": 1}, "time": 7})
        seen = told(Event(position, channel, type, fact))
        assert seen is not None
        assert (seen.position, seen.type) == (position, renamed)
        assert json.loads(seen.data) == {"room": "lobby", "user": "ann", "verified": person.is_verified, "time": 7}
    assert told(Event(position, channel, "of a later version", "{}")) is None


@pytest.mark.parametrize("channel", [channel_of("lobby"), "user:ann", "all", "presence:other"])
def test_all_else_is_told_as_it_is(channel: str) -> None:
    event = Event(Position(1, 2), channel, "join", "no object")
    assert told(event) is event


# Limits


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


def test_a_burst_of_one_person_then_the_rate_and_nobody_else_waits() -> None:
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
