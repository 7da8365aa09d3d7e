"""Frames out and frames in: every bad one its code, wherever the bytes were cut."""

from __future__ import annotations

import codecs
import os
import struct
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Close as TheirClose
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side
from websockets.streams import StreamReader

from app.flask_simulcast.encoding.websocket import binary_frame, close_frame, frame, text_frame
from app.flask_simulcast.transports.websocket.close_codes import (
    NOT_TEXT,
    NOT_UTF8,
    PROTOCOL_ERROR,
    TOO_LARGE,
    TOO_MANY_FRAGMENTS,
    CloseCode,
)
from app.flask_simulcast.transports.websocket.parser import Close, Item, Parser, Ping, Pong, Violation, unmasked
from tests.unit.transports.websocket.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    KEY,
    PING,
    PONG,
    TEXT,
    cut,
    ending_of,
    sent,
)


def parser(**bounds: int) -> Parser:
    return Parser(**{"message_bytes": 1 << 20, "fragments": 1000, **bounds})  # type: ignore[arg-type]


def fed(parser: Parser, pieces: Iterable[bytes]) -> list[Item]:
    return [item for piece in pieces for item in parser.feed(piece)]


# Out: read back by a library that others wrote


def read_by_websockets(data: bytes) -> Frame:
    reader = StreamReader()
    reader.feed_data(data)
    generator = Frame.parse(reader.read_exact, mask=False)
    try:
        while True:
            next(generator)
    except StopIteration as end:
        assert len(reader.buffer) == 0
        return end.value  # type: ignore[no-any-return]


@given(st.text(), st.sampled_from([0, 125, 126, 65535, 65536]))
def test_a_text_frame_is_read_by_others(text: str, padding: int) -> None:
    payload = text.encode().ljust(padding, b".")
    theirs = read_by_websockets(text_frame(payload))
    assert (theirs.opcode, theirs.fin, theirs.rsv1, bytes(theirs.data)) == (Opcode.TEXT, True, False, payload)


def test_a_binary_frame_is_read_by_others() -> None:
    theirs = read_by_websockets(binary_frame(b"\x00\xff"))
    assert (theirs.opcode, bytes(theirs.data)) == (Opcode.BINARY, b"\x00\xff")


@given(st.sampled_from([1000, 1012, 4000, 4999]), st.text(max_size=200))
def test_a_close_frame_has_its_code_and_as_many_whole_characters_as_fit(code: int, reason: str) -> None:
    theirs = TheirClose.parse(bytes(read_by_websockets(close_frame(code, reason)).data))
    assert theirs.code == code
    assert reason.startswith(theirs.reason)
    assert theirs.reason == reason or len(theirs.reason.encode()) > 123 - 4


def test_a_close_frame_without_a_code_is_empty() -> None:
    assert close_frame(1005) == b"\x88\x00"


def test_a_short_frame_has_two_bytes_before_its_payload() -> None:
    assert frame(PING, b"") == b"\x89\x00"
    assert text_frame(b"x" * 126)[:4] == b"\x81\x7e\x00\x7e"
    assert text_frame(b"x" * 65536)[:10] == b"\x81\x7f" + (65536).to_bytes(8, "big")


# In


messages = st.one_of(st.text(max_size=300), st.binary(max_size=300))


@given(
    st.lists(st.tuples(messages, st.lists(st.integers(0, 60), max_size=5), st.binary(max_size=20)), max_size=6),
    st.lists(st.integers(0, 40), max_size=60),
)
def test_whatever_is_sent_in_whatever_pieces_comes_out(
    sequence: list[tuple[str | bytes, list[int], bytes]], sizes: list[int]
) -> None:
    """Messages in fragments, a ping between any two of them, and the bytes cut anywhere."""
    wire = b""
    expected: list[Item] = []
    for message, fragments, ping in sequence:
        payload = message.encode() if isinstance(message, str) else message
        opcode = TEXT if isinstance(message, str) else BINARY
        pieces = cut(payload, fragments)
        for number, piece in enumerate(pieces):
            is_last = number == len(pieces) - 1
            wire += sent(CONTINUATION if number else opcode, piece, fin=is_last, key=os.urandom(4))
            if not is_last:
                wire += sent(PING, ping)
                expected.append(Ping(ping))
        expected.append(message)
    assert fed(parser(), cut(wire, sizes)) == expected


@given(st.binary(max_size=200), st.binary(min_size=4, max_size=4))
def test_a_mask_goes_on_and_off(data: bytes, key: bytes) -> None:
    assert unmasked(unmasked(data, key), key) == data


def test_what_a_library_of_others_sends_is_read() -> None:
    for size in (0, 1, 125, 126, 65535, 65536, 100_000):
        theirs = Frame(Opcode.TEXT, b"x" * size).serialize(mask=True)
        assert parser().feed(theirs) == ["x" * size]


def test_controls_are_told_apart() -> None:
    assert parser().feed(sent(PING, b"a") + sent(PONG, b"b")) == [Ping(b"a"), Pong(b"b")]
    assert parser().feed(sent(CLOSE)) == [Close(1005, "")]
    assert parser().feed(sent(CLOSE, b"\x03\xe8bye")) == [Close(1000, "bye")]


def test_after_the_close_frame_nothing_counts() -> None:
    over = parser()
    assert over.feed(sent(CLOSE) + sent(TEXT, b"late")) == [Close(1005, "")]
    assert over.feed(b"\xff" * 100) == []


@pytest.mark.parametrize(
    ("wire", "ending"),
    [
        (sent(TEXT, b"x", is_masked=False), PROTOCOL_ERROR),
        (sent(TEXT, b"x", rsv=4), PROTOCOL_ERROR),
        (sent(TEXT, b"x", rsv=1), PROTOCOL_ERROR),
        (sent(PING, b"x", rsv=2), PROTOCOL_ERROR),
        *((sent(opcode), PROTOCOL_ERROR) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
        (sent(PING, fin=False), PROTOCOL_ERROR),
        (sent(CLOSE, fin=False), PROTOCOL_ERROR),
        (sent(PING, b"x" * 126), PROTOCOL_ERROR),
        (sent(CONTINUATION, b"x"), PROTOCOL_ERROR),
        (sent(TEXT, b"a", fin=False) + sent(TEXT, b"b"), PROTOCOL_ERROR),
        (b"\x81\xfe\x00\x7d" + KEY, PROTOCOL_ERROR),
        (b"\x81\xff" + (65535).to_bytes(8, "big") + KEY, PROTOCOL_ERROR),
        (b"\x81\xff" + (1 << 63).to_bytes(8, "big") + KEY, PROTOCOL_ERROR),
        (sent(CLOSE, b"\x03"), PROTOCOL_ERROR),
        *((sent(CLOSE, struct.pack("!H", code)), PROTOCOL_ERROR)
          for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)),
        (sent(CLOSE, b"\x03\xe8\xff"), NOT_UTF8),
        (sent(TEXT, b"\xff"), NOT_UTF8),
        (sent(TEXT, b"\xed\xa0\x80"), NOT_UTF8),  # a surrogate
        (sent(TEXT, b"\xc0\xaf"), NOT_UTF8),  # longer than need be
        (sent(TEXT, b"\xf4\x90\x80\x80"), NOT_UTF8),  # beyond Unicode
        (sent(TEXT, b"\xce"), NOT_UTF8),  # half a character
        (sent(TEXT, b"\xce", fin=False) + sent(CONTINUATION, b""), NOT_UTF8),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_cut", [False, True], ids=["at once", "byte by byte"])
def test_a_bad_frame_has_its_code(wire: bytes, ending: CloseCode, is_cut: bool) -> None:
    before = sent(TEXT, b"before")
    pieces = [bytes([byte]) for byte in before + wire] if is_cut else [before + wire]
    items = fed(parser(), pieces)
    assert items[0] == "before", "what came before is not lost"
    assert ending_of(items).code == ending.code
    assert ending_of(items).reason


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
def test_the_codes_that_there_are_may_be_used(code: int) -> None:
    assert parser().feed(sent(CLOSE, struct.pack("!H", code))) == [Close(code, "")]


def test_a_bad_byte_is_told_before_its_frame_is_over() -> None:
    """Autobahn's 6.4: at the first bad byte, not at the end of the message."""
    wire = sent(TEXT, b"\xce\xba\xf4\x90\x80\x80" + b"x" * 50)
    items = parser().feed(wire[: 6 + 4])
    assert ending_of(items).code == 1007


def test_a_character_may_be_cut_by_a_fragment() -> None:
    text = "κόσμε 🙂"
    pieces = [bytes([byte]) for byte in text.encode()]
    wire = b"".join(
        sent(CONTINUATION if n else TEXT, piece, fin=n == len(pieces) - 1) for n, piece in enumerate(pieces)
    )
    assert parser().feed(wire) == [text]


def test_binary_is_refused_where_text_is_due() -> None:
    items = Parser(message_bytes=100, fragments=10, text_only=True).feed(sent(TEXT, b"a") + sent(BINARY, b"b"))
    assert items[0] == "a"
    assert ending_of(items).code == NOT_TEXT.code == 1003


def test_a_message_that_will_be_too_large_is_told_by_its_head() -> None:
    head = sent(TEXT, b"")[:1] + b"\xff" + (200 << 20).to_bytes(8, "big") + KEY
    assert ending_of(parser().feed(head)).code == TOO_LARGE.code == 1009


def test_fragments_count_together() -> None:
    bounded = parser(message_bytes=10)
    assert bounded.feed(sent(TEXT, b"12345", fin=False) + sent(CONTINUATION, b"67890")) == ["1234567890"]
    assert ending_of(bounded.feed(sent(TEXT, b"12345", fin=False) + sent(CONTINUATION, b"678901"))).code == 1009


def test_a_message_in_too_many_fragments_ends_it() -> None:
    bounded = parser(fragments=3)
    assert bounded.feed(sent(TEXT, fin=False) + sent(CONTINUATION, fin=False) + sent(CONTINUATION)) == [""]
    items = bounded.feed(sent(TEXT, fin=False) + sent(CONTINUATION, fin=False) * 3)
    assert ending_of(items).code == TOO_MANY_FRAGMENTS.code == 1008


def test_frames_are_counted() -> None:
    counting = parser()
    counting.feed(sent(PING) * 5 + sent(TEXT, b"x") + b"\x81")
    assert counting.frames == 6


@given(st.binary(max_size=400), st.lists(st.integers(1, 30), max_size=20))
@settings(max_examples=400)
def test_any_bytes_end_in_a_violation_or_wait_for_more(data: bytes, sizes: list[int]) -> None:
    """And the same, however they were cut: no exception, and nothing kept beyond a head."""
    whole, pieces = parser(), parser()
    expected = whole.feed(data)
    got = fed(pieces, cut(data, sizes))
    # Only a text that turns out bad may be told sooner, with fewer bytes of it.
    assert [type(item) for item in got] == [type(item) for item in expected]
    assert [item for item in got if not isinstance(item, Violation)] == [
        item for item in expected if not isinstance(item, Violation)
    ]
    assert len(pieces._rest) <= 14 + 125


@given(st.text(max_size=100), st.data())
def test_what_we_say_is_utf8_others_say_too(text: str, data: st.DataObject) -> None:
    """One byte of a text turned into another: the standard library is the judge."""
    payload = bytearray(text.encode() or b"x")
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    items = parser().feed(sent(TEXT, bytes(payload)))
    try:
        codecs.decode(bytes(payload), "utf-8", "strict")
    except UnicodeDecodeError:
        assert ending_of(items).code == 1007
    else:
        assert items == [payload.decode()]


# UTF-8 is judged above: that library leaves it to its callers.
ascii_bytes = st.binary(max_size=130).map(lambda data: bytes(byte & 0x7F for byte in data))
opcodes = st.sampled_from([TEXT, BINARY, CONTINUATION, PING, PONG, CLOSE])


@given(st.lists(st.tuples(opcodes, st.booleans(), ascii_bytes), max_size=8))
def test_a_library_of_others_refuses_what_we_refuse(frames: list[tuple[int, bool, bytes]]) -> None:
    """`websockets`, without I/O, is given the same frames."""
    wire = b"".join(sent(opcode, payload, fin=fin) for opcode, fin, payload in frames)
    ours = fed(parser(), [wire])
    theirs = Protocol(Side.SERVER, max_size=1 << 20)
    theirs.receive_data(wire)
    if ours and isinstance(ours[-1], Violation):
        assert theirs.close_sent is not None
        assert theirs.close_sent.code == ours[-1].ending.code
    elif ours and isinstance(ours[-1], Close):
        assert theirs.close_rcvd is not None
        assert ours[-1] == (theirs.close_rcvd.code, theirs.close_rcvd.reason)
    else:
        assert theirs.close_sent is None
