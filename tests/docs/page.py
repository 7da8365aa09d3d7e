"""The code blocks of a page, in the order in which a reader meets them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from tests.docs.untried import UNTRIED
from tests.tools.serving import ROOT

PATHS = [
    "README.md",
    "app/flask_simulcast/README.md",
    "examples/README.md",
    *(f"docs/{p.name}" for p in sorted((ROOT / "docs").glob("*.md"))),
]

_MODULES = {
    "app/flask_simulcast/README.md": "tests.docs.test_extension_readme",
    "examples/README.md": "tests.docs.test_examples",
}
_FENCE = re.compile(r"^ *(```+|~~~+) *([\w+-]*) *$")


@dataclass(frozen=True)
class Block:
    """What stands between two fences.

    Attributes:
        page: Its path.
        line: Of its first fence.
        heading: The nearest one above it.
        language: The word behind the fence; "" where there is none.
        text: What a reader would paste, with its last line end.
    """

    page: str
    line: int
    heading: str
    language: str
    text: str

    def replaced(self, values: dict[str, str]) -> Block:
        """With the reader's own values for what the page leaves open: ``{"…": token}``.

        A test says here, and nowhere else, in what it differs from the page. A text that is not there is an error.
        """
        text = self.text
        for name, value in values.items():
            assert name in text, f"{self.place} does not have {name!r}"
            text = text.replace(name, value)
        return replace(self, text=text)

    @property
    def place(self) -> str:
        """For messages: ``docs/guide.md:12``."""
        return f"{self.page}:{self.line}"

    @property
    def lines(self) -> list[str]:
        """Those that are not empty."""
        return [line for line in self.text.splitlines() if line.strip()]


class Page:
    """One page, of which a test module takes all blocks.

    Attributes:
        left: Blocks that no test has taken. `test_every_block.py` wants none at the end.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.blocks = read(path)
        self.left = list(self.blocks)

    def take(self, heading: str, language: str) -> Block:
        """The next block of this language below this heading, which the caller runs."""
        block = self._next(heading, language)
        assert not _is_untried(block), f"{block.place} stands in UNTRIED, but is taken to be run"
        return block

    def take_untried(self, heading: str, language: str) -> Block:
        """The same for one that UNTRIED says can't be run. The caller checks what the table says."""
        block = self._next(heading, language)
        assert _is_untried(block), f"{block.place} does not stand in UNTRIED"
        return block

    def _next(self, heading: str, language: str) -> Block:
        for block in self.left:
            if (block.heading, block.language) == (heading, language):
                self.left.remove(block)
                return block
        there = "\n".join(f"  {block.place} {block.language} below {block.heading!r}" for block in self.left)
        raise AssertionError(f"{self.path} has no {language} block below {heading!r}. There is still:\n{there}")


def program(*blocks: Block) -> str:
    """One file of several blocks, as a reader pastes them one below the other."""
    return "\n".join(block.text for block in blocks)


def read(path: str) -> list[Block]:
    """The blocks of a page.

    Raises:
        AssertionError: A block has no fence (four spaces), or no end: then no test could see what it is.
    """
    return parse(path, (ROOT / path).read_text())


def parse(path: str, text: str) -> list[Block]:
    """The blocks of a text. Pure."""
    blocks: list[Block] = []
    heading = above = fence = ""
    language, start = "", 0
    inside: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        match = _FENCE.match(line)
        if fence:
            if line.strip() == fence:
                blocks.append(Block(path, start, heading, language, "\n".join([*inside, ""])))
                fence = ""
            else:
                inside.append(line)
        elif match:
            fence, language = match.groups()
            start, inside = number, []
        else:
            assert "```" not in line, f"{path}:{number}: a fence with more than a language behind it"
            is_code = line.startswith(("    ", "\t")) and not above.strip()
            assert not is_code, f"{path}:{number}: a block by indentation. Give it fences and a language."
            assert not re.match(r" *<(pre|script)\b", line), f"{path}:{number}: a block in HTML. Use fences."
            if line.startswith("#"):
                heading = line.lstrip("#").strip()
        above = line
    assert not fence, f"{path}:{start}: the block has no end"
    return blocks


def module_of(path: str) -> str:
    """The test module of a page."""
    if path in _MODULES:
        return _MODULES[path]
    return f"tests.docs.test_{Path(path).stem.lower().replace('-', '_')}"


def _is_untried(block: Block) -> bool:
    return any(block.page == page and block.text.startswith(start) for page, start in UNTRIED)
