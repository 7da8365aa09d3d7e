"""Positions, and what may be published."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from app.flask_simulcast.errors import ChannelNameError, EventTypeError, IdempotencyKeyError
from app.flask_simulcast.event import (
    Event,
    IdempotencyKey,
    Position,
    check_channel,
    check_key,
    check_publishable,
    check_type,
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


def test_a_frame_is_made_once_for_each_encoding() -> None:
    calls = []
    event = Event(Position(1, 2), "c", "message", "1")

    def encode(event: Event) -> bytes:
        calls.append(event)
        return b"frame"

    assert event.frame(encode) is event.frame(encode)
    assert len(calls) == 1
    assert event.frame(lambda _: b"other") == b"other"


def test_a_view_gives_an_event_other_data_and_the_rest_stays() -> None:
    event = Event(Position(1, 2), "c", "created", '{"id":7,"price":3}')
    narrowed = event.with_data({"id": 7})
    assert (narrowed.position, narrowed.channel, narrowed.type, narrowed.data) == (
        Position(1, 2),
        "c",
        "created",
        '{"id":7}',
    )
    as_html = event.with_data(Markup("<li>7"))
    assert (as_html.is_raw, as_html.text, as_html.type) == (True, "<li>7", "created")
    assert (event.is_raw, event.text) == (False, event.data)
    patch = event.with_data("elements <li>", type="patch", raw=True)
    assert (patch.text, patch.type) == ("elements <li>", "patch")
