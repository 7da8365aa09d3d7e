"""`check_resume` is right: a browser's own EventSource, which resumes as the standard says, passes it."""

from __future__ import annotations

from collections.abc import Callable

from app.flask_simulcast.testing import check_resume
from tests.tools.chromium import Chromium

LISTEN = """new Promise((resolve) => {
  const source = new EventSource(%r), taken = [];
  source.onmessage = (event) => taken.push(event.data);
  source.onerror = () => source.readyState === EventSource.CLOSED && resolve(taken);
})"""


def test_an_event_source_passes(chromium: Chromium) -> None:
    page = chromium.open("about:blank")

    def client(url: str, take: Callable[[object], None]) -> None:
        for data in page.evaluate(LISTEN % url):
            take(data)

    check_resume(client)
