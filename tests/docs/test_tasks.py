"""docs/tasks.md: a text is counted, and a checksum is watched to its end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.docs.page import Page
from tests.docs.reader import service_reader
from tests.docs.test_start import RUN
from tests.tools.serving import ROOT

PAGE = Page("docs/tasks.md")
START = PAGE.take("Start one", "sh")
WATCH = PAGE.take("Watch it", "sh")


def test_a_task_is_started_and_another_is_watched(tmp_path: Path) -> None:
    with service_reader(tmp_path) as reader, reader.serving(RUN):
        if not (reader.folder / "README.md").exists():
            shutil.copy(ROOT / "README.md", reader.folder)
        started = json.loads(reader.run(START))
        assert (started["kind"], started["options"]) == ("wordcount", {"top": 3})
        watched = reader.run(WATCH)
        assert watched.count("event: progress") > 0
        assert watched.count("event: complete") == 1
        assert watched.rstrip().endswith('data: {"reason":"finished","reconnect":false}')
