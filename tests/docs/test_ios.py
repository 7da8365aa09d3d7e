"""docs/ios.md: its program is not run here, but it uses the server's own names."""

from __future__ import annotations

from tests.docs.names import assert_names_of_the_server
from tests.docs.page import Page

PAGE = Page("docs/ios.md")
PROGRAM = PAGE.take_untried("iOS", "swift")


def test_program_uses_the_names_of_the_server() -> None:
    assert_names_of_the_server(PROGRAM)
