"""Every code block of the documents is run by the test module of its page, or stands in UNTRIED (newcomer friction 25).

A new block fails here until its page's module takes it: `PAGE.take(heading, language)`.
"""

from __future__ import annotations

import importlib

import pytest
import yaml

from tests.docs.languages import CHECKS
from tests.docs.page import PATHS, Block, Page, module_of, parse, read
from tests.docs.untried import UNTRIED

BLOCKS = [block for path in PATHS for block in read(path)]


@pytest.mark.parametrize("block", BLOCKS, ids=[block.place for block in BLOCKS])
def test_every_block_is_well_formed_in_its_language(block: Block) -> None:
    assert block.language in CHECKS, f"{block.place}: a block of the unknown kind {block.language!r}"
    CHECKS[block.language](block.text)


@pytest.mark.parametrize("path", [path for path in PATHS if read(path)])
def test_every_block_is_taken_by_the_module_of_its_page(path: str) -> None:
    page = importlib.import_module(module_of(path)).PAGE
    assert isinstance(page, Page)
    assert page.path == path
    assert [block.place for block in page.left] == [], f"no test runs these; {module_of(path)} must take them"


def test_every_row_of_untried_is_a_block() -> None:
    for page, start in UNTRIED:
        assert [block for block in BLOCKS if block.page == page and block.text.startswith(start)], (page, start)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("python", "def broken(:\n"),
        ("sh", "if true; then echo\n"),
        ("js", "const {ticket = 1;\n"),
        ("json", "{'a': 1}\n"),
        ("jsonl", '{"a":1}\n{…}\n'),
        ("http", "GET /ws\n"),
        ("yaml", "a: [1\n"),
        ("html", "<ul><li></ul>\n"),
        ("promql", "rate(simulcast_gaps_total[5m]\n"),
        ("nginx", "location / {\n    proxy_pass http://127.0.0.1:8000\n}\n"),
        ("java", "void close() {\n"),
        ("dart", "var data = <String>[;\n"),
        ("swift", "feed(byte\n"),
        ("text", "\n"),
    ],
)
def test_a_broken_block_of_every_language_is_found(language: str, text: str) -> None:
    with pytest.raises((AssertionError, SyntaxError, ValueError, yaml.YAMLError)):
        CHECKS[language](text)


def test_every_language_has_a_broken_block_above() -> None:
    (mark,) = test_a_broken_block_of_every_language_is_found.pytestmark  # type: ignore[attr-defined]
    assert {language for language, _ in mark.args[1]} == set(CHECKS)


@pytest.mark.parametrize("text", ["a\n\n    b\n", "```python\n1\n", "<pre>1</pre>\n", "```python title=x\n1\n```\n"])
def test_a_block_that_can_not_be_seen_is_refused(text: str) -> None:
    with pytest.raises(AssertionError, match=r"page\.md:\d"):
        parse("page.md", text)


def test_a_block_that_no_test_takes_is_left() -> None:
    page = Page("README.md")
    first = page.blocks[0]
    assert page.left == page.blocks
    with pytest.raises(AssertionError, match="There is still"):
        page.take("no such heading", "python")
    assert first in page.left
