"""docs/usage.md: a record that is stored comes out of the stream."""

from __future__ import annotations

from pathlib import Path

from tests.docs.page import Page
from tests.docs.reader import service_reader
from tests.docs.test_start import RUN

PAGE = Page("docs/usage.md")
RECORD = PAGE.take("Record", "sh")
LISTEN = PAGE.take("The stream", "sh")


def test_a_record_is_answered_with_its_id_and_streamed(tmp_path: Path) -> None:
    with service_reader(tmp_path) as reader, reader.serving(RUN), reader.running(LISTEN) as terminal:
        terminal.wait_for("event: connected")
        assert reader.run(RECORD) == '{"ids":[1]}'
        terminal.wait_for('"creditsUsed":12')
