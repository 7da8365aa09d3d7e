"""docs/by-example.md: every command is run, and prints what stands below it.

To add an example, write it into the page: a heading, a sentence, a block ``sh``, and a block ``text`` with lines that the
command prints, in this order. A line matches where it begins, ``…`` matches anything, and the command may print more.
The examples run side by side against one server, so each uses names of its own.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.docs.page import Block, Page
from tests.docs.reader import Reader, service_reader

PAGE = Page("docs/by-example.md")
RUN, SET_UP = (PAGE.take("The examples of the two documents, as commands", "sh") for _ in range(2))
EXAMPLES = [(PAGE.take(block.heading, "sh"), PAGE.take(block.heading, "text")) for block in PAGE.blocks[2::2]]
_AT_ONCE = 4


def test_every_command_prints_what_stands_below_it(tmp_path: Path) -> None:
    with service_reader(tmp_path) as reader, reader.serving(RUN), ThreadPoolExecutor(_AT_ONCE) as pool:
        missing = list(pool.map(lambda example: _missing(reader, *example), EXAMPLES))
    assert not any(missing), "\n".join(missing)


def _missing(reader: Reader, command: Block, shown: Block) -> str:
    """What a command did not print; empty if it printed all that is shown."""
    output = reader.run(f"{SET_UP.text}\n{command.text}").replace("\r\n", "\n")
    place = 0
    for line in shown.lines:
        pattern = "^" + ".*".join(map(re.escape, line.split("…")))
        found = re.compile(pattern, re.MULTILINE).search(output, place)
        if found is None:
            return f"{command.place} does not print {line!r}:\n{output}"
        place = found.end()
    return ""


def test_an_output_that_is_not_as_shown_is_found(tmp_path: Path) -> None:
    def block(text: str) -> Block:
        return Block("page.md", 1, "", "sh", text)

    class Echo(Reader):
        def run(self, block: Block | str, **environment: str) -> str:
            return "id: 7\nevent: usage\ndata: [1]\n"

    reader = Echo(tmp_path)
    assert _missing(reader, block("x"), block("id: …\ndata: […]\n")) == ""
    for wrong in ("data: [1]\nid: …\n", "event: use\nvent\n", "data: [2]\n"):
        assert "does not print" in _missing(reader, block("x"), block(wrong))
