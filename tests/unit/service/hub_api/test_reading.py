"""From bodies to events: what is taken, and which one is wrong."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Callable
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from app.features.hub_api import schemas
from app.features.hub_api.reading import Bounds, as_mapping, read_draft, read_events
from app.flask_simulcast.data import encode_data
from app.flask_simulcast.errors import InvalidEventError
from app.flask_simulcast.event import IdempotencyKey, check_channel, check_key, check_type, check_user
from app.web import query
from app.web.body import JSON, NDJSON
from app.web.errors import ApiError

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=12,
)


def read(text: bytes, mimetype: str = JSON, key: str | None = None) -> list[schemas.Event]:
    return read_events(text, mimetype, key, Bounds(events=10, event_bytes=1 << 20, copied_bytes=1000), lambda: None)


def code_of(text: bytes, mimetype: str = JSON, key: str | None = None) -> str:
    with pytest.raises(ApiError) as refused:
        read(text, mimetype, key)
    return refused.value.code


@given(data=VALUES)
def test_data_comes_out_as_it_went_in(data: object) -> None:
    """Integers of any size, floats, the order of keys, and halves of surrogate pairs."""
    (event,) = read(json.dumps({"channel": "a", "data": data}).encode())
    assert encode_data(event.data) == encode_data(data)


@given(text=st.binary(max_size=60) | st.text(max_size=60).map(str.encode), mimetype=st.sampled_from([JSON, NDJSON]))
def test_whatever_comes_is_read_or_refused_by_name(text: bytes, mimetype: str) -> None:
    try:
        read(text, mimetype)
    except ApiError as error:
        assert error.status in (400, 413)


HOSTILE = st.text(st.sampled_from("ab.:_-é \n\r\0/*A9"), max_size=140)


@pytest.mark.parametrize(
    ("type", "check", "examples"),
    [
        (schemas.Channel, check_channel, ["all", "presence:a", "a" * 128, "presence:" + "a" * 128]),
        (schemas.Type, check_type, ["x" * 128, "x" * 129]),
        (schemas.Key, check_key, ["x" * 128, "x" * 129]),
        (schemas.User, check_user, ["x" * 128, "x" * 129, "https://a//b"]),
    ],
    ids=["channel", "type", "key", "user"],
)
@given(data=st.data())
def test_what_is_documented_is_what_the_extension_takes(
    type: Any, check: Callable[[str], object], examples: list[str], data: st.DataObject
) -> None:
    text = data.draw(HOSTILE | st.sampled_from([*examples, ""]))
    try:
        check(text)
        is_taken = True
    except InvalidEventError:
        is_taken = False
    (schema,), _ = msgspec.json.schema_components([type])
    assert jsonschema_rs.is_valid(schema, text) == is_taken


def test_the_error_names_the_event_and_the_field() -> None:
    with pytest.raises(ApiError, match=r"^Event 1, channel: Expected `str`, got `int`\. An event has"):
        read(b'[{"channel":"a","data":1},{"channel":7,"data":1}]')
    with pytest.raises(ApiError, match=r"^Event 2: Object missing required field `data`"):
        read(b'{"channel":"a","data":1}\n{"channel":"a","data":1}\n{"channel":"a"}', NDJSON)
    with pytest.raises(ApiError, match=r"unknown field `chanel`"):
        read(b'{"chanel":"a","data":1}')
    with pytest.raises(ApiError, match=r"line 1 column 23"):
        read(b'{"channel":"a","data":}')


@pytest.mark.parametrize("mimetype", [JSON, NDJSON])
@pytest.mark.parametrize("filling", [b"", b" " * (300 << 10)], ids=["small", "large"])
@pytest.mark.parametrize(
    "text",
    [
        b'{"channel":"a","data":"\xff"}',
        b'{"channel":"a","data":{"\xc3":1}}',
        b'{"channels":["\xff"],"data":1}',
        b'{"channel":"a","data":1,"type":"\xff"}',
        b'{"channel":"a","data":1,"\xff":1}',
    ],
)
def test_what_is_not_utf8_is_refused_wherever_it_stands(text: bytes, filling: bytes, mimetype: str) -> None:
    assert code_of(text + filling, mimetype) == "not_json"
    if mimetype == JSON:
        assert code_of(b"[" + text + filling + b"]") == "not_json"


def test_a_draft_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(ApiError) as refused:
        read_draft(b'{"data":"\xff"}', None, 1 << 20)
    assert refused.value.code == "not_json"


def test_an_event_goes_to_one_channel_or_to_several_not_both() -> None:
    (event,) = read(b'{"channels":["a","b"],"data":1,"type":"t","idempotency_key":"k"}')
    key = IdempotencyKey("k", "user:ann")
    assert as_mapping(event, "user:ann") == {"channels": ["a", "b"], "data": 1, "type": "t", "idempotency_key": key}
    assert event.names == ["a", "b"]
    assert code_of(b'{"channels":["a"],"channel":"a","data":1}') == "invalid_event"
    assert code_of(b'{"data":1}') == "invalid_event"
    assert code_of(b'{"channels":"a","data":1}') == "channel_name"


def test_an_event_for_several_channels_counts_for_each() -> None:
    names = json.dumps([f"c{n}" for n in range(11)]).encode()
    assert code_of(b'{"data":1,"channels":' + names + b"}") == "too_many_events"
    with pytest.raises(ApiError, match=r"^Event 1, channels: Expected `str`, got `int`\."):
        read(b'[{"channel":"a","data":1},{"channels":["a",7],"data":1}]')


@pytest.mark.parametrize(
    ("start", "between", "end", "mimetype"), [(b"[", b",", b"]", JSON), (b"", b"\n\n", b"\n", NDJSON)]
)
def test_events_are_counted_before_they_are_made(start: bytes, between: bytes, end: bytes, mimetype: str) -> None:
    one = b'{"channel":"a","data":[1,2,3]}'
    assert len(read(start + between.join([one] * 10) + end, mimetype)) == 10
    assert code_of(start + between.join([one] * 11) + end, mimetype) == "too_many_events"
    assert code_of(start + between.join([*[one] * 10, b"this is not even JSON"]) + end, mimetype) == "too_many_events"


def test_a_line_has_one_event() -> None:
    one = b'{"channel":"a","data":1}'
    assert code_of(one + one, NDJSON) == "not_json"
    with pytest.raises(ApiError, match=r"^Event 1, channel: Expected `str`, got `int`\."):
        read(one + b'\n\n{"channel":7,"data":1}', NDJSON)


def test_what_is_stored_in_several_channels_has_a_bound_in_bytes() -> None:
    several = b'{"channels":["a","b"],"data":"%s"}'
    assert read(several % (b"x" * 490))
    assert code_of(several % (b"x" * 510)) == "too_many_bytes"
    assert code_of(b"[" + several % (b"x" * 300) + b"," + several % (b"x" * 300) + b"]") == "too_many_bytes"
    assert read(b'{"channel":"a","data":"%s"}' % (b"x" * 2000)), "the body has a limit of its own"
    assert read(b'{"channels":["a"],"data":' + b"[" * 400 + b"]" * 400 + b"}")


def test_a_key_in_the_header_is_for_one_event() -> None:
    one = b'{"channel":"a","data":1}'
    assert [event.idempotency_key for event in read(one, key="k")] == ["k"]
    assert [event.idempotency_key for event in read(b"[" + one + b"]", key="k")] == ["k"]
    assert code_of(b"[" + one + b"," + one + b"]", key="k") == "idempotency_key"
    assert code_of(b'{"channel":"a","data":1,"idempotency_key":"other"}', key="k") == "idempotency_key"
    assert read_draft(b'{"data":1}', "k", 1 << 20).idempotency_key == "k"


@pytest.mark.parametrize("text", [b'{"data":1,"channel":"a"}', b"{}", b"[]", b"7", b'{"data":1,"type":7}', b"\xff"])
def test_an_event_for_the_target_of_a_route_has_no_channel(text: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        read_draft(text, None, 1 << 20)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("given", "limit"),
    [("", 100), ("limit=1", 1), ("limit=1000", 1000), ("limit=7&limit=x", 7), ("_=123&limit=8", 8)],
)
def test_a_query_is_read_by_its_type(given: str, limit: int) -> None:
    with Flask(__name__).test_request_context(f"/?{given}"):
        assert query.read(schemas.HistoryQuery) == schemas.HistoryQuery(after="", limit=limit)


@pytest.mark.parametrize(
    "given",
    ["limit=0", "limit=1001", "limit=", "limit=x", "limit=1.5", "limit=%D9%A3", "limit=null", "limit=" + "9" * 5000],
)
def test_a_query_that_cannot_be_used_is_named(given: str) -> None:
    with Flask(__name__).test_request_context(f"/?{given}"), pytest.raises(ApiError) as refused:
        query.read(schemas.HistoryQuery)
    assert refused.value.code == "invalid_query"
    assert "limit=" in str(refused.value)


def test_a_list_in_a_query_is_all_of_its_values() -> None:
    with Flask(__name__).test_request_context("/?channel=a&channel=b"):
        assert query.read(schemas.StreamQuery).channel == ["a", "b"]
    with Flask(__name__).test_request_context("/?reconnect=false"):
        assert query.read(schemas.KickQuery).reconnect is False


MILLION = 1 << 20
BOMBS = {
    "digits": b'{"channel":"a","data":' + b"7" * (4 * MILLION) + b"}",
    "long integers": b'{"channel":"a","data":[' + b",".join([b"9" * 4300] * 950) + b"]}",
    "keys": b'{"channel":"a","data":{' + b",".join(b'"%06d":1' % n for n in range(300_000)) + b"}}",
    "many events": b"["
    + b",".join([b'{"channel":"a","data":[' + b",".join(b"%d" % n for n in range(10**12, 10**12 + 280)) + b"]}"] * 1000)
    + b"]",
    "halves": b'{"channel":"a","data":"' + b"\\ud800" * (4 * MILLION // 6) + b'"}',
    "depth": b"[" * (4 * MILLION),
    "lines": b"\n" * (4 * MILLION),
    "too many events": b"[" + b",".join([b'{"channel":"a","data":1}'] * 160_000) + b"]",
    "too many lines": b"\n".join([b'{"channel":"a","data":1}'] * 160_000),
    "events without a channel": b"[" + b",".join([b'{"data":1}'] * 380_000) + b"]",
    "channels": b'{"data":1,"channels":[' + b",".join([b'"a"'] * MILLION) + b"]}",
    "many lists of channels": b"[" + b",".join([b'{"data":1,"channels":[' + b'"a",' * 1000 + b'"a"]}'] * 1000) + b"]",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("mimetype", [JSON, NDJSON])
def test_no_body_stops_the_loop(text: bytes, mimetype: str) -> None:
    """security F5: 4 MB of long integers took 0.35 s, and were refused then. Promised are 20 ms; five times that is asserted.

    The same work is measured three times: where the machine is short of memory, its kernel's work for a page counts as ours.
    """
    assert min(longest_stretch(text, mimetype) for _ in range(3)) < 5 * 0.02


def longest_stretch(text: bytes, mimetype: str) -> float:
    """Seconds of CPU between two chances for others to run."""
    stretches = [time.process_time()]
    bounds = Bounds(events=1000, event_bytes=64 << 10, copied_bytes=4 * MILLION)
    with contextlib.suppress(ApiError):
        read_events(text, mimetype, None, bounds, lambda: stretches.append(time.process_time()))
    stretches.append(time.process_time())
    return max(later - earlier for earlier, later in itertools.pairwise(stretches))


def test_an_event_is_measured_before_it_is_parsed() -> None:
    bounds = Bounds(events=10, event_bytes=1000, copied_bytes=1000)
    with pytest.raises(ApiError) as refused:
        read_events(b'{"channel":"a","data":"%s"}' % (b"x" * 2000), JSON, None, bounds, lambda: None)
    assert (refused.value.status, refused.value.code) == (413, "event_too_large")


@pytest.mark.parametrize(
    "mimetype", ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"]
)
def test_lines_have_many_names(mimetype: str) -> None:
    """bug F14."""
    assert len(read(b'{"channel":"a","data":1}\r\n\n{"channel":"a","data":2}', mimetype)) == 2


def test_a_byte_order_mark_is_passed_over() -> None:
    """bug F14. RFC 8259, 8.1."""
    for mimetype in (JSON, NDJSON):
        assert len(read(b'\xef\xbb\xbf{"channel":"a","data":1}', mimetype)) == 1
