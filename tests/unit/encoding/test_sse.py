"""Events as SSE frames, read back by a parser of our own and by those that others wrote."""

from __future__ import annotations

from urllib.parse import unquote

import httpx
import httpx_sse
import pytest
import sseclient
from hypothesis import given
from hypothesis import strategies as st

from app.flask_simulcast.data import encode_data
from app.flask_simulcast.encoding import ndjson, sse
from app.flask_simulcast.event import Event, Position
from app.flask_simulcast.testing import SSEReader, read_sse
from tests.unit.encoding.events import POSITION, TEXT, TYPES, event


@pytest.mark.parametrize(
    ("type", "data", "frame"),
    [
        ("message", "1", "id: 5-3-9f3a2c1b\ndata: 1\n\n"),
        ("tick", '{"a":1}', 'id: 5-3-9f3a2c1b\nevent: tick\ndata: {"a":1}\n\n'),
        ("message", "", "id: 5-3-9f3a2c1b\ndata: \n\n"),
        ("message", " x", "id: 5-3-9f3a2c1b\ndata:  x\n\n"),
        ("message", "a\nb\rc\r\nd", "id: 5-3-9f3a2c1b\ndata: a\ndata: b\ndata: c\ndata: d\n\n"),
        ("message", "\n", "id: 5-3-9f3a2c1b\ndata: \ndata: \n\n"),
        ("message", "a\u2028b\u2029c\x85d\x0be\x0cf", "id: 5-3-9f3a2c1b\ndata: a\u2028b\u2029c\x85d\x0be\x0cf\n\n"),
        ("message", "x\n\nevent: evil\nid: 9", "id: 5-3-9f3a2c1b\ndata: x\ndata: \ndata: event: evil\ndata: id: 9\n\n"),
    ],
)
def test_an_sse_frame_is_exactly_this(type: str, data: str, frame: str) -> None:
    assert sse.encode(event(data, type)) == frame.encode()


@pytest.mark.parametrize(
    ("channel", "alone", "among_several"),
    [
        ("orders", "5-3-9f3a2c1b", "5-3-9f3a2c1b/orders"),
        ("a.b_c:d-e", "5-3-9f3a2c1b", "5-3-9f3a2c1b/a.b_c:d-e"),
        ("presence:orders", "5-3-9f3a2c1b", "5-3-9f3a2c1b/presence:orders"),
        ("all", "5-3-9f3a2c1b/all", "5-3-9f3a2c1b/all"),
        (
            "listener:7b29735d84c195f9",
            "5-3-9f3a2c1b/listener:7b29735d84c195f9",
            "5-3-9f3a2c1b/listener:7b29735d84c195f9",
        ),
        ("user:ann", "5-3-9f3a2c1b/user:ann", "5-3-9f3a2c1b/user:ann"),
        ("user:Zoë /1", "5-3-9f3a2c1b/user:Zo%C3%AB%20%2F1", "5-3-9f3a2c1b/user:Zo%C3%AB%20%2F1"),
    ],
)
def test_an_id_names_the_channel_where_it_is_not_the_stream_s_only_one(
    channel: str, alone: str, among_several: str
) -> None:
    """Friction 11."""
    one = Event(POSITION, channel, "message", "1")
    assert sse.SSE.of(("orders",)) is sse.SSE
    several = sse.SSE.of(("orders", "presence:orders"))
    assert several.name == "sse"
    assert sse.SSE.event(one) == f"id: {alone}\ndata: 1\n\n".encode()
    assert several.event(one) == f"id: {among_several}\ndata: 1\n\n".encode()
    for encoding in (ndjson.NDJSON, several):
        assert encoding.of(("a", "b")) is encoding


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1, max_size=128))
def test_any_user_s_name_in_an_id_fits_a_header_and_is_read_back(user: str) -> None:
    body = sse.encode_named(Event(POSITION, f"user:{user}", "message", "1"))
    response = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=body)
    [theirs] = httpx_sse.EventSource(response).iter_sse()
    [ours] = read_sse(body)
    assert theirs.id == ours.id
    position, channel = ours.id.split("/")
    assert (position, unquote(channel)) == (str(POSITION), f"user:{user}")
    assert ours.id.isascii()
    assert Position.parse(ours.id) == POSITION


RAW = "<ul>\r\n<li>\rmilk\n</ul>\n\0 \u2028"


def test_raw_text_has_a_data_line_for_each_of_its_lines() -> None:
    frame = b"id: 5-3-9f3a2c1b\ndata: <ul>\ndata: <li>\ndata: milk\ndata: </ul>\ndata: \0 \xe2\x80\xa8\n\n"
    raw = event(encode_data(RAW, raw=True))
    assert sse.encode(raw) == frame
    assert sse.encode_named(raw) == frame.replace(b"2c1b", b"2c1b/c")
    assert sse.SSE.notice("message", raw.data, str(POSITION)) == frame


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b", "\n"])
def test_a_field_that_could_forge_another_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        sse.encode_fields(bad, "1", "")
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        sse.encode_fields("x", "1", bad)


def test_notices_comments_and_retry() -> None:
    assert sse.SSE.notice("gap", "{}", "") == b"event: gap\ndata: {}\n\n"
    assert read_sse(sse.SSE.comment() + sse.SSE.notice("a", "1", "")) == [("a", "1", "")]
    assert sse.SSE.retry(1500) + sse.SSE.notice("a", "1", "2") == b"retry: 1500\nid: 2\nevent: a\ndata: 1\n\n"


def lines_of(text: str) -> str:
    """What a reader makes of line ends in the data."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


@given(st.lists(TEXT, min_size=1, max_size=6))
def test_raw_text_that_looks_like_fields_stays_within_its_event(texts: list[str]) -> None:
    forged = [f"{text}\n\nevent: evil\r\rid: 9" for text in texts]
    read = read_sse(b"".join(sse.encode(event(encode_data(text, raw=True))) for text in forged))
    assert read == [("message", lines_of(text), str(POSITION)) for text in forged]


@given(st.lists(st.tuples(TYPES, TEXT), min_size=1, max_size=6), st.data())
def test_our_reader_reads_what_our_writer_wrote_wherever_it_is_cut(
    events: list[tuple[str, str]], data: st.DataObject
) -> None:
    text = b"".join(sse.encode(event(content, type)) for type, content in events)
    reader = SSEReader()
    read = []
    while text:
        cut = data.draw(st.integers(1, len(text)))
        read += reader.feed(text[:cut])
        text = text[cut:]
    assert [(one.type, one.data, one.id) for one in read] == [(t, lines_of(d), str(POSITION)) for t, d in events]


@given(st.lists(st.tuples(TYPES, TEXT), min_size=1, max_size=6))
def test_httpx_sse_reads_the_same(events: list[tuple[str, str]]) -> None:
    frames = [sse.encode(event(content, type)) + sse.SSE.comment() for type, content in events]
    body = sse.SSE.retry(10) + b"".join(frames)
    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)
    read = list(httpx_sse.EventSource(response).iter_sse())
    assert [(one.event, one.data, one.id) for one in read] == [(t, lines_of(d), str(POSITION)) for t, d in events]


@given(st.lists(st.tuples(TYPES, TEXT), min_size=1, max_size=6))
def test_sseclient_reads_the_same(events: list[tuple[str, str]]) -> None:
    body = b"".join(sse.encode(event(content, type)) + sse.SSE.comment() for type, content in events)
    read = list(sseclient.SSEClient(iter([body])).events())
    assert [(one.event, one.data, one.id) for one in read] == [(t, lines_of(d), str(POSITION)) for t, d in events]
