"""What people may be called and may say, and which rooms there are."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.features.chat import unseen
from app.features.chat.texts import NAME_PATTERN, TEXT_PATTERN, check_name, check_room, clean_text, is_same_name
from app.web.errors import ApiError


def refused(check: object, text: str) -> str:
    assert callable(check)
    with pytest.raises(ApiError) as error:
        check(text)
    assert error.value.status == 400
    return error.value.code


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


def test_text_that_is_too_long_for_a_name_is_not_composed() -> None:
    # Composing this would take half a minute.
    assert not is_same_name("e" + "\u0301\u0316" * 100_000, "\u00e9")


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


def test_the_pattern_of_a_name_has_each_character_that_can_not_be_seen() -> None:
    ranges = re.compile(f"[{unseen.RANGES}]")
    plane = {chr(code) for code in range(0x10000)} - {chr(code) for code in range(0xD800, 0xE000)}
    expected = {one for one in plane if unseen.is_unseen(one)} - {unseen.ZWNJ, unseen.ZWJ} | {"\ufffd"}
    assert set(filter(ranges.match, plane)) == expected


def test_patterns_take_what_the_checks_take() -> None:
    for name in ("Ann", "小明", "a b", "क्‍ष", "o'neil?"):
        assert re.search(NAME_PATTERN, check_name(name))
    for name in ("?ann", " ann", "ann ", "a  b", "a\tb", "a\u200bb"):
        assert not re.search(NAME_PATTERN, name)
    for text in ("Hello", " two\r\nlines\t", "\n0"):
        assert re.search(TEXT_PATTERN, clean_text(text) and text)
    for text in ("", " \n\t", "a\0", "a\u202eb"):
        assert not re.search(TEXT_PATTERN, text)
