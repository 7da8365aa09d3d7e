"""Positions, and what may be published."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.flask_simulcast.errors import ChannelNameError, EventDataError, EventTypeError, IdempotencyKeyError
from app.flask_simulcast.event import (
    Event,
    IdempotencyKey,
    Position,
    byte_length,
    check_channel,
    check_key,
    check_publishable,
    check_type,
    encode_data,
    fingerprint_of,
    first_key_of,
    next_key,
)


@given(st.integers(0, (1 << 63) - 1), st.integers(0, (1 << 32) - 1))
def test_a_position_reads_back_what_it_wrote(key: int, tag: int) -> None:
    assert Position.parse(str(Position(key, tag))) == (key, tag)
    assert Position.parse(f"{Position(key, tag)}/presence:orders") == (key, tag), "as an SSE id with its channel"


@pytest.mark.parametrize(
    "text",
    [
        "", "-", "--", "1-2", "1-2-3", "1-2-9f3a2c1", "1-2-9f3a2c1bb", "1-2-9F3A2C1B", " 1-2-9f3a2c1b", "1-2-9f3a2c1b\n",
        "+1-2-9f3a2c1b", "1_0-2-9f3a2c1b", "1-1048576-9f3a2c1b", "9999999999999-0-00000000", "1" * 400 + "-0-00000000",
        "1-" + "0" * 400 + "-00000000", "١-٢-9f3a2c1b", "1e3-0-00000000", "0x1-0-00000000", "1.0-0-00000000",
        "1-2-9f3a2c1b/", "1-2-9f3a2c1b /a", "1-2-9f3a2c1b/a b", "1-2-9f3a2c1b/a\n", "1-2-9f3a2c1b/é", "/a",
        "1-2-9f3a2c1b/" + "a" * 1542,
    ],
)  # fmt: skip
def test_what_is_no_position_is_none_and_never_an_error(text: str) -> None:
    assert Position.parse(text) is None


def test_positions_are_ordered_by_key_and_counted_within_a_millisecond() -> None:
    key = next_key(0, 5)
    assert key == first_key_of(5)
    assert next_key(key, 5) == key + 1
    assert next_key(key, 4) == key + 1, "a clock that jumps back changes nothing"
    assert next_key(key, 6) == first_key_of(6)
    assert Position(key, 9) < Position(key + 1, 0)
    assert str(Position(key + 3, 0x9F3A2C1B)) == "5-3-9f3a2c1b"
    assert next_key(first_key_of(6) - 1, 5) == first_key_of(6), "a full millisecond runs into the next"


@pytest.mark.parametrize("name", ["a", "A-z.0_9:x", "a" * 128, "wukong:host"])
def test_channel_names_that_are_allowed(name: str) -> None:
    assert check_channel(name) == name


@pytest.mark.parametrize("name", ["", "a" * 129, "a b", "é", "a/b", "a\n", "*", None, 7, b"a", ["a"]])
def test_channel_names_that_are_not(name: object) -> None:
    with pytest.raises(ChannelNameError, match="is not a channel name"):
        check_channel(name)


@pytest.mark.parametrize("name", ["all", "user:1", "listener:x", "presence:room"])
def test_reserved_channels_can_be_listened_to_but_not_published_to(name: str) -> None:
    assert check_channel(name) == name
    with pytest.raises(ChannelNameError, match="reserved"):
        check_publishable(name)


@pytest.mark.parametrize("type", ["", "x" * 129, "a\nb", "a\rb", "a\0b", "\ud800", "gap", "closed", None, 1])
def test_event_types_that_are_refused(type: object) -> None:
    with pytest.raises(EventTypeError):
        check_type(type)


def test_idempotency_keys() -> None:
    assert check_key("k") == IdempotencyKey("k") == check_key(IdempotencyKey("k"))
    for key in ("", "x" * 129, 7, "\udfff"):
        with pytest.raises(IdempotencyKeyError):
            check_key(key)
        with pytest.raises(IdempotencyKeyError):
            check_key(IdempotencyKey(key, "ann"))  # type: ignore[arg-type]


def test_a_key_is_of_its_channel_and_its_sender() -> None:
    """sec F4: no sender can make a key that is another's."""
    keys = [IdempotencyKey("k"), IdempotencyKey("k", "ann"), IdempotencyKey("k", "bob"), IdempotencyKey("nk", "a")]
    keys += [IdempotencyKey("\nk", "ann"), IdempotencyKey("k", "ann\n"), IdempotencyKey(keys[1].name("a"))]
    names = [key.name(channel) for key in keys for channel in ("a", "b")]
    assert len(set(names)) == len(names)
    assert IdempotencyKey("k", "ann", "x").name("a") == keys[1].name("a"), "the same key, perhaps another event"


@given(st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_texts_that_differ_have_another_fingerprint(one: list[str], other: list[str]) -> None:
    assert (fingerprint_of(*one) == fingerprint_of(*other)) == (one == other)


@pytest.mark.parametrize(
    "data", [b"\x00\xff", bytearray(b"\x00\xff"), memoryview(b"\x00\xff")], ids=lambda data: type(data).__name__
)
def test_bytes_are_sent_as_base64_and_say_so(data: object) -> None:
    assert json.loads(encode_data(data)) == {"data": "AP8=", "encoding": "base64"}
    assert json.loads(encode_data({"deep": [data]})) == {"deep": [{"data": "AP8=", "encoding": "base64"}]}


@pytest.mark.parametrize(
    "data",
    [{1, 2}, float("nan"), float("inf"), object(), {(1, 2): 3}],
    ids=lambda value: type(value).__name__,
)
def test_data_that_json_can_not_hold_is_refused(data: object) -> None:
    with pytest.raises(EventDataError, match="can't be written as JSON"):
        encode_data(data)


def test_data_that_is_nested_too_deep_or_holds_itself_is_refused() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    circle: list[object] = []
    circle.append(circle)
    for data in (deep, circle):
        with pytest.raises(EventDataError):
            encode_data(data)
    while deep:  # by hand: dropping it at once would recurse as deep
        (deep,) = deep  # type: ignore[assignment]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=())),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10))  # fmt: skip
def test_data_is_json_in_utf8_whatever_text_is_in_it(data: object) -> None:
    text = encode_data(data)
    assert json.loads(text.encode()) == data
    assert byte_length(text) == len(text.encode())


def test_a_frame_is_made_once_for_each_encoding() -> None:
    calls = []
    event = Event(Position(1, 2), "c", "message", "1")

    def encode(event: Event) -> bytes:
        calls.append(event)
        return b"frame"

    assert event.frame(encode) is event.frame(encode)
    assert len(calls) == 1
    assert event.frame(lambda _: b"other") == b"other"
