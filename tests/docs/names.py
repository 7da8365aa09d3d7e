"""Programs in a language that no machine here runs: do they use the server's own names?"""

from __future__ import annotations

import re

from app.flask_simulcast.client.answers import WORTH_A_RETRY
from tests.docs.page import Block
from tests.tools.serving import ROOT

NAMES = ("Accept", "text/event-stream", "Authorization", "Last-Event-ID", "connected", "heartbeat", "closed")


def assert_names_of_the_server(block: Block) -> None:
    """The page says that it was not run. The program has the names of headers and events, and the statuses of a retry."""
    assert "**not run here**" in (ROOT / block.page).read_text()
    for name in NAMES:
        assert re.search(rf"['\"]{name}['\"]", block.text), name
    statuses = re.search(r"\[(408[\d, ]+)\]", block.text)
    assert statuses is not None
    assert {int(status) for status in statuses[1].split(",")} == WORTH_A_RETRY
