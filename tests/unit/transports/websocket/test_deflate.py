"""permessage-deflate: what is agreed on; messages out and in, read and written by codecs of others; and bombs."""

from __future__ import annotations

import os
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode
from wsproto.extensions import PerMessageDeflate as WsprotoDeflate
from wsproto.frame_protocol import FrameProtocol, RsvBits
from wsproto.frame_protocol import Opcode as WsprotoOpcode

from app.flask_simulcast import Settings
from app.flask_simulcast.transports.websocket import handshake
from app.flask_simulcast.transports.websocket.deflate import Deflate, agreed
from app.flask_simulcast.transports.websocket.limits import Limits
from app.flask_simulcast.transports.websocket.parser import Item, Parser, Violation
from tests.unit.transports.websocket.frames import BINARY, CONTINUATION, PING, TEXT, cut, ending_of, sent

RSV1 = 4
ANSWER = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
HELLO = b"\xf2\x48\xcd\xc9\xc9\x07\x00"  # RFC 7692, 7.2.3.1


def parser(**options: Any) -> Parser:
    return Parser(**{"message_bytes": 1 << 20, "fragments": 1000, "is_compressed": True} | options)


def deflated(payload: bytes, level: int = 9) -> bytes:
    stream = zlib.compressobj(level, wbits=-15)
    return (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def fed(parser: Parser, pieces: list[bytes]) -> list[Item]:
    """Feed bytes and run all turns."""
    items = []
    for piece in pieces:
        items += parser.feed(piece)
        while parser.has_more:
            items += parser.feed(b"")
    return items


# What is agreed on


@pytest.mark.parametrize(
    ("offers", "answer"),
    [
        ("permessage-deflate", ANSWER),
        ("PerMessage-Deflate ; Client_Max_Window_Bits", ANSWER),
        ("permessage-deflate; client_max_window_bits=10; server_no_context_takeover", ANSWER),
        ('permessage-deflate; server_max_window_bits="10"', f"{ANSWER}; server_max_window_bits=10"),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", ANSWER),
        ("permessage-deflate; server_max_window_bits, permessage-deflate; server_max_window_bits=9",
         f"{ANSWER}; server_max_window_bits=9"),
        ('x-other; a="1, permessage-deflate"; b, permessage-deflate', ANSWER),
    ],
)  # fmt: skip
def test_the_first_offer_that_can_be_met_is_taken(offers: str, answer: str) -> None:
    deflate = agreed(offers)
    assert deflate is not None
    assert deflate.answer == answer
    assert f"\r\nSec-WebSocket-Extensions: {answer}\r\n\r\n".encode() in handshake.accepted("key", deflate)


@pytest.mark.parametrize(
    "offers",
    [
        "", ",;=,", '"', "deflate", "x-webkit-deflate-frame", "permessage-deflate-2",
        "permessage-deflate; mystery", "permessage-deflate; mystery=1",
        "permessage-deflate; server_no_context_takeover=1", "permessage-deflate; client_no_context_takeover=",
        "permessage-deflate; server_max_window_bits", "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=8", "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=010", "permessage-deflate; server_max_window_bits=1０",
        "permessage-deflate; client_max_window_bits=7", "permessage-deflate; client_max_window_bits=",
        "permessage-deflate; client_max_window_bits; client_max_window_bits",
        'x-other; a="1, permessage-deflate, 2"',
    ],
)  # fmt: skip
def test_other_offers_are_passed_over(offers: str) -> None:
    assert agreed(offers) is None


@example("1,;")
@example(",;")
@given(st.text(alphabet=' ;,="permsag-dflt_contkvwibx158', max_size=80))
def test_no_offer_is_an_error(offers: str) -> None:
    agreed(f"permessage-deflate{offers}")


def test_what_others_offer_is_agreed_on_as_they_take_it() -> None:
    for bits in (None, 9, 15):
        theirs = ClientPerMessageDeflateFactory(server_max_window_bits=bits)
        offer = "; ".join(
            ["permessage-deflate", *(key if value is None else f"{key}={value}" for key, value in theirs.get_request_params())]
        )  # fmt: skip
        deflate = agreed(offer)
        assert deflate is not None
        assert deflate.window_bits == (bits or 15)
        _, *answered = deflate.answer.split("; ")
        pairs = [(key, value or None) for key, _, value in (parameter.partition("=") for parameter in answered)]
        assert theirs.process_response_params(pairs, []).local_no_context_takeover


def test_compression_is_off_unless_asked_for() -> None:
    assert not Limits.of(Settings()).compression
    assert Limits.of(Settings.from_config({"SIMULCAST_WEBSOCKET_COMPRESSION": "1"})).compression
    assert Limits.of(Settings(), compression=True).compression


# Out


@given(st.binary(max_size=2000), st.sampled_from(range(9, 16)), st.sampled_from([1, 40]))
def test_what_is_compressed_is_read_by_others(payload: bytes, bits: int, times: int) -> None:
    payload = payload * times
    data = Deflate(bits, "").compressed(payload)
    if data is None:
        return
    assert len(data) < len(payload)
    theirs = PerMessageDeflate(True, True, bits, 15)
    assert bytes(theirs.decode(TheirFrame(Opcode.BINARY, data, rsv1=True)).data) == payload


@pytest.mark.parametrize("payload", [b"", b"x" * 1023, b"x" * (128 * 1024 + 1), os.urandom(5000)])
def test_what_is_small_or_large_or_noise_goes_as_it_is(payload: bytes) -> None:
    assert Deflate(15, "").compressed(payload) is None


# In


@given(st.text() | st.binary(), st.integers(1, 400), st.lists(st.integers(0, 9)), st.data())
def test_messages_compressed_by_others_are_read_wherever_they_are_cut(
    message: str | bytes, times: int, sizes: list[int], data: st.DataObject
) -> None:
    message = message * times  # type: ignore[assignment]
    opcode, payload = (TEXT, message.encode()) if isinstance(message, str) else (BINARY, message)
    theirs = PerMessageDeflate(False, True, 15, data.draw(st.sampled_from(range(9, 16))))
    compressed = bytes(theirs.encode(TheirFrame(Opcode(opcode), payload)).data)
    first, *others = cut(compressed, sizes)
    stream = sent(opcode, first, fin=not others, rsv=RSV1)
    for place, piece in enumerate(others, 1):
        stream += sent(CONTINUATION, piece, fin=place == len(others))
    places = data.draw(st.lists(st.integers(0, 40), max_size=10))
    assert fed(parser(), cut(stream + sent(TEXT, b"plain"), places)) == [message, "plain"]


def test_wsproto_writes_what_we_read() -> None:
    theirs = WsprotoDeflate(client_no_context_takeover=True)
    theirs.finalize(ANSWER)
    assert theirs.enabled()
    for text in ("", "hello", "κόσμε" * 10_000):
        rsv, data = theirs.frame_outbound(
            FrameProtocol(client=True, extensions=[theirs]),
            WsprotoOpcode.TEXT,
            RsvBits(False, False, False),
            text.encode(),
            True,
        )
        assert rsv.rsv1
        assert fed(parser(), [sent(TEXT, bytes(data), rsv=RSV1)]) == [text]


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (HELLO, "Hello"),
        (b"\x00", ""),
        (b"\x00\x05\x00\xfa\xffHello\x00", "Hello"),  # 7.2.3.3, a block without compression
        (b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello"),  # 7.2.3.4, a last block
        (b"\xf3\x48\xcd\xc9\xc9\x07\x00", "Hello"),
        (b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "Hello"),  # 7.2.3.5, two blocks
    ],
)
def test_the_examples_of_the_rfc(payload: bytes, message: str) -> None:
    assert fed(parser(), [sent(TEXT, payload, rsv=RSV1)]) == [message]
    in_bytes = [sent(TEXT, fin=False, rsv=RSV1), *(sent(CONTINUATION, bytes([byte]), fin=False) for byte in payload)]
    assert fed(parser(), [*in_bytes, sent(CONTINUATION)]) == [message]


@pytest.mark.parametrize(
    "frames",
    [
        sent(PING, b"x", rsv=RSV1),
        sent(TEXT, b"a", fin=False) + sent(CONTINUATION, b"b", rsv=RSV1),
        sent(TEXT, HELLO, rsv=RSV1 | 2),
        sent(TEXT, HELLO, rsv=1),
    ],
)
def test_its_bit_elsewhere_is_1002(frames: bytes) -> None:
    assert ending_of(parser().feed(frames)).code == 1002


def test_its_bit_without_an_agreement_is_1002() -> None:
    assert ending_of(parser(is_compressed=False).feed(sent(TEXT, HELLO, rsv=RSV1))).code == 1002


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"\xff", b"\x07", HELLO[:-2], HELLO[:3], b"\x00\x0a\x00\xf5\xffHello", b"\x00\x0b\x00\xf4\xffHello\x00",
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00\x00", b"\xf3\x48\xcd\xc9\xc9\x07\x00" + HELLO,
    ],
)  # fmt: skip
def test_what_cannot_be_inflated_is_1002(payload: bytes) -> None:
    ending = ending_of(fed(parser(), [sent(TEXT, payload, rsv=RSV1)]))
    assert ending.code == 1002
    assert "compressed message" in ending.reason


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_an_ending(payload: bytes) -> None:
    (item,) = fed(parser(message_bytes=1000), [sent(BINARY, payload, rsv=RSV1)])
    assert isinstance(item, bytes) or (isinstance(item, Violation) and item.ending.code in (1002, 1009))


def test_what_is_inflated_has_to_be_utf_8_at_once() -> None:
    bad = deflated(b"\xce\xba" + b"\xff" + b"x" * 100_000)
    assert ending_of(parser().feed(sent(TEXT, bad, rsv=RSV1))).code == 1007
    early = parser()
    begin = zlib.compressobj(wbits=-15)
    early.feed(sent(TEXT, begin.compress(b"\xff") + begin.flush(zlib.Z_SYNC_FLUSH), fin=False, rsv=RSV1))
    assert early.feed(sent(PING)) == [], "it is over already"
    assert ending_of(fed(parser(), [sent(TEXT, deflated(b"\xce"), rsv=RSV1)])).code == 1007


@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("text", [b"\x00", None], ids=["zeros", "noise"])
def test_a_message_of_exactly_the_limit_comes_in_and_one_byte_more_does_not(text: bytes | None, level: int) -> None:
    payload = os.urandom(10_001) if text is None else text * 10_001
    whole = deflated(payload[:-1], level)
    assert fed(parser(message_bytes=10_000), [sent(BINARY, whole, rsv=RSV1)]) == [payload[:-1]]
    assert ending_of(fed(parser(message_bytes=10_000), [sent(BINARY, deflated(payload, level), rsv=RSV1)])).code == 1009


# Bombs


def test_199_kb_that_are_200_mb_end_with_1009_before_they_are_made() -> None:
    stream = zlib.compressobj(9, wbits=-15)
    bomb = b"".join(stream.compress(bytes(1_000_000)) for _ in range(200)) + stream.flush(zlib.Z_SYNC_FLUSH)
    assert len(bomb) < 199_000
    data = sent(BINARY, bomb[:-4], rsv=RSV1)
    bounded = parser(message_bytes=1 << 20)
    tracemalloc.start()
    try:
        items = [item for at in range(0, len(data), 16384) for item in bounded.feed(data[at : at + 16384])]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert ending_of(items).code == 1009
    assert peak < 8 << 20


def test_a_hundred_small_bombs_in_one_read_are_inflated_turn_by_turn() -> None:
    """16 KiB of the wire are 12 MB of messages: of these, one more than 64 KiB is made before others have their turn."""
    one = sent(TEXT, deflated(b"x" * 120_000), rsv=RSV1)
    many = one * (16384 // len(one))
    assert many.count(one) > 50
    bounded = parser(message_bytes=128 << 10)
    turns = [bounded.feed(many)]
    while bounded.has_more:
        turns.append(bounded.feed(b""))
    assert [len(items) for items in turns] == [1] * many.count(one)


def test_empty_compressed_messages_are_not_free() -> None:
    """Each needs a stream of its own."""
    one = sent(TEXT, b"\x00", rsv=RSV1)
    bounded = parser()
    assert 0 < len(bounded.feed(one * 2000)) <= 64
    assert len(fed(bounded, [b""])) > 0


def test_after_the_end_nothing_waits() -> None:
    bounded = parser(message_bytes=100_000)
    assert ending_of(bounded.feed(sent(TEXT, deflated(b"x" * 200_000), rsv=RSV1) * 10)).code == 1009
    assert not bounded.has_more
