"""Events as lines of JSON."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from app.flask_simulcast.data import encode_data
from app.flask_simulcast.encoding import ndjson
from tests.unit.encoding.events import POSITION, TEXT, TYPES, event


@given(TYPES, st.recursive(st.none() | st.integers() | TEXT, st.lists, max_leaves=5))
def test_an_ndjson_line_is_one_line_and_one_object(type: str, data: object) -> None:
    line = ndjson.encode(event(encode_data(data), type))
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert json.loads(line) == {"id": str(POSITION), "channel": "c", "type": type, "time": 5, "data": data}


@given(TEXT)
def test_raw_text_is_a_string_that_says_so(text: str) -> None:
    data = encode_data(text, raw=True)
    line = ndjson.encode(event(data))
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "id": str(POSITION), "channel": "c", "type": "message", "time": 5, "data": text, "raw": True,
    }  # fmt: skip
    assert json.loads(ndjson.encode_notice("snapshot", data, "7")) == {
        "id": "7", "type": "snapshot", "data": text, "raw": True,
    }  # fmt: skip


def test_ndjson_notices_have_an_id_only_where_there_is_one() -> None:
    assert json.loads(ndjson.encode_notice("gap", '{"a":\n1}', "")) == {"type": "gap", "data": {"a": 1}}
    assert json.loads(ndjson.encode_notice("x", "1", "7")) == {"id": "7", "type": "x", "data": 1}
    assert ndjson.NDJSON.comment() == b"\n"
    assert ndjson.NDJSON.retry(5) == b""
