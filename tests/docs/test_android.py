"""docs/android.md: it shows a part of the example that scripts/neighbours runs."""

from __future__ import annotations

from tests.docs.page import Page
from tests.tools.serving import ROOT

PAGE = Page("docs/android.md")
RECEIVE = PAGE.take("What the example does", "java")
FEED = (ROOT / "examples/android/src/main/java/example/Feed.java").read_text()


def test_page_shows_the_example_that_is_tested() -> None:
    assert RECEIVE.text in FEED
