"""docs/usage.md: a record that is stored comes out of the stream."""

from __future__ import annotations

from pathlib import Path

from tests.docs.page import Page
from tests.docs.reader import service_reader
from tests.docs.test_start import RUN

PAGE = Page("docs/usage.md")
RECORD = PAGE.take("Record", "sh")
LISTEN = PAGE.take("The stream", "sh")
SOURCES = PAGE.take("Sources", "sh")


def test_a_record_is_answered_with_its_id_and_streamed(tmp_path: Path) -> None:
    with service_reader(tmp_path) as reader, reader.serving(RUN), reader.running(LISTEN) as terminal:
        terminal.wait_for("event: connected")
        assert reader.run(RECORD) == '{"ids":[1]}'
        terminal.wait_for('"creditsUsed":12')


def test_the_sources_are_a_setting(tmp_path: Path) -> None:
    show = "import os; from app import config; print(config.read(os.environ)['SIMULCAST_USAGE_SOURCES'])"
    with service_reader(tmp_path) as reader:
        shown = reader.run(f'{SOURCES.text}\n.venv/bin/python -c "{show}"')
    assert "Source(name='billing', seconds=60, url='https://billing.example/usage.json')" in shown
    assert "Source(name='lab', seconds=300, url='http://10.0.0.7/usage')" in shown
