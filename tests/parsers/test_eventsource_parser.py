"""Our bytes, read back by npm's eventsource-parser, which the fetch clients of the JavaScript world build on."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.flask_simulcast.encoding import sse
from app.flask_simulcast.event import Event, Position
from tests.tools.require import require

FOLDER = Path(__file__).parent
POSITION = Position(5 << 20 | 3, 0x9F3A2C1B)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
TYPES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1, max_size=20)


@pytest.fixture(scope="module")
def parser() -> Iterator[subprocess.Popen[str]]:
    node = require("node", shutil.which("node"))
    require("eventsource-parser", next(map(str, FOLDER.glob("node_modules/eventsource-parser")), None))
    command = [node, str(FOLDER / "parse.mjs")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8") as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@settings(deadline=None)  # the first one waits for node to start
@given(st.lists(st.tuples(TYPES, TEXT), min_size=1, max_size=6), st.integers(1, 50))
def test_it_reads_what_our_writer_wrote_in_pieces(
    parser: subprocess.Popen[str], events: list[tuple[str, str]], size: int
) -> None:
    frames = [sse.encode_named(Event(POSITION, "c", type, data)) + sse.encode_comment() for type, data in events]
    body = sse.encode_retry(10) + b"".join(frames)
    pieces = [base64.b64encode(body[start : start + size]).decode() for start in range(0, len(body), size)]
    assert parser.stdin is not None
    assert parser.stdout is not None
    parser.stdin.write(json.dumps(pieces) + "\n")
    parser.stdin.flush()
    read = json.loads(parser.stdout.readline())
    assert read == [[type, data.replace("\r\n", "\n").replace("\r", "\n"), f"{POSITION}/c"] for type, data in events]
