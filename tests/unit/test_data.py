"""Data as the log holds it: JSON text in UTF-8, or raw text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from app.flask_simulcast.data import byte_length, encode_data, is_raw, text_of
from app.flask_simulcast.errors import EventDataError


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


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_raw_text_is_kept_as_it_is_and_stays_json(text: str) -> None:
    for data in (encode_data(Markup(text)), encode_data(text, raw=True)):
        assert is_raw(data)
        assert text_of(data) == text
        assert json.loads(data) == text  # a worker of an older version reads the log, too
        assert not {"\n", "\r", "\0"} & set(data)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10))  # fmt: skip
def test_other_data_is_never_taken_for_raw_text(data: object) -> None:
    assert not is_raw(encode_data(data))
    assert text_of(encode_data(data)) == encode_data(data)


def test_only_markup_itself_is_raw_and_not_markup_inside_of_data() -> None:
    assert encode_data({"html": Markup("<b>")}) == '{"html":"<b>"}'
    assert encode_data(str(Markup("<b>"))) == '"<b>"'


class Element:
    """As libraries that make HTML have them."""

    def __html__(self) -> str:
        return "<br>"


def test_what_knows_its_html_may_be_sent_raw() -> None:
    assert text_of(encode_data(Element(), raw=True)) == "<br>"


@pytest.mark.parametrize("data", [{"a": 1}, None, 7, b"<b>", "\ud800"], ids=repr)
def test_raw_data_that_is_not_text_is_refused(data: object) -> None:
    with pytest.raises(EventDataError, match="Use str or Markup"):
        encode_data(data, raw=True)
