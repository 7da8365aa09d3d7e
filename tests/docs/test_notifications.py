"""docs/notifications.md: Ann listens, is notified, and reads, by curl."""

from __future__ import annotations

import json
from pathlib import Path

from tests.docs.page import Page
from tests.docs.reader import service_reader
from tests.docs.test_start import RUN_WITH_TOKENS

PAGE = Page("docs/notifications.md")
LISTEN = PAGE.take("Notifications", "sh")
NOTIFY = PAGE.take("Notifications", "sh")
READ = PAGE.take("Notifications", "sh")


def test_ann_gets_what_the_backend_sends_and_reads_it(tmp_path: Path) -> None:
    with (
        service_reader(tmp_path) as reader,
        reader.serving(RUN_WITH_TOKENS),
        reader.running(f"{LISTEN.text}\necho $ANN > token") as terminal,
    ):
        terminal.wait_for("event: unread")
        key = (tmp_path / "instance" / "jwt.key").read_text().strip()
        position = json.loads(reader.run(NOTIFY, SIMULCAST_JWT_KEY=key))["position"]
        terminal.wait_for('"message":"Your export is ready."')
        reader.run(READ, ANN=(tmp_path / "token").read_text().strip(), POSITION=position)
        terminal.wait_for("event: notification-read")
        assert f'{{"position":"{position}"}}' in terminal.output
