"""No two places do the same in the same lines: neither two files, nor two places of one."""

from __future__ import annotations

import ast
import io
import keyword
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.tools.serving import ROOT

LINES = 8
FOLDERS = ("app", "benchmarks", "tests")
NO_LOGIC = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}

Words = tuple[str, ...]


class Place(NamedTuple):
    """Lines of a file, the last one included."""

    file: str
    first: int
    last: int


def declared(tree: ast.Module) -> set[int]:
    """Lines that only declare: imports, decorators and signatures, docstrings, bodies of three dots."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
                lines.update(range(node.lineno, (node.end_lineno or 0) + 1))
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                lines.update(range(first, node.body[0].lineno))
    return lines


def logic_of(source: str) -> list[tuple[int, Words]]:
    """Lines of logic with their numbers, as words. Lines of brackets alone do not count."""
    skipped = declared(ast.parse(source))
    lines: dict[int, list[str]] = defaultdict(list)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_LOGIC and token.start[0] not in skipped:
            lines[token.start[0]].append(token.string)
    return [(number, tuple(words)) for number, words in lines.items() if any(word[-1:].isalnum() for word in words)]


def shape_of(lines: Sequence[Words]) -> int:
    """The hash of these lines, whatever their variables are called. An attribute keeps its name."""
    numbers: dict[str, int] = {}
    shape: list[str | int] = []
    for words in lines:
        before = ""
        for word in words:
            is_variable = word.isidentifier() and not keyword.iskeyword(word) and before != "."
            shape.append(numbers.setdefault(word, len(numbers)) if is_variable else word)
            before = word
        shape.append("\n")
    return hash(tuple(shape))


def windows_of(file: str, source: str) -> Iterator[tuple[int, Place]]:
    logic = logic_of(source)
    for start in range(len(logic) - LINES + 1):
        numbers, lines = zip(*logic[start : start + LINES], strict=True)
        yield shape_of(lines), Place(file, numbers[0], numbers[-1])


def duplicates(sources: dict[str, str]) -> list[tuple[Place, Place]]:
    """Pairs of places with the same shape, that do not overlap."""
    seen: dict[int, Place] = {}
    found = []
    for file, source in sources.items():
        for shape, place in windows_of(file, source):
            first = seen.setdefault(shape, place)
            if first.file != place.file or first.last < place.first:
                found.append((first, place))
    return found


def test_no_two_places_share_eight_lines_of_logic() -> None:
    files = [
        file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py")) if "node_modules" not in file.parts
    ]
    found = duplicates({str(file.relative_to(ROOT)): file.read_text() for file in files})
    pairs = [" and ".join(f"{file}:{first}-{last}" for file, first, last in pair) for pair in found]
    assert not pairs, "give them one function:\n" + "\n".join(pairs)


LOOP = "for one in some:\n" + "".join(f"    one.step_{number}(1)\n" for number in range(LINES))


def test_duplicates_are_found_in_one_file_and_in_two_whatever_names_and_comments_they_have() -> None:
    other = LOOP.replace("one", "two").replace("    two.step_3(1)\n", "    # why\n    two.step_3(1)\n\n")
    assert [pair[0] for pair in duplicates({"a.py": LOOP, "b.py": other})] == [Place("a.py", 1, 8), Place("a.py", 2, 9)]
    assert len(duplicates({"a.py": LOOP + other})) == 2


def test_lines_that_differ_or_only_declare_are_no_duplicates() -> None:
    assert duplicates({"a.py": LOOP, "b.py": LOOP.replace("step_4(1)", "step_4(2)")}) == []
    assert duplicates({"a.py": LOOP, "b.py": LOOP.replace("step_4", "stop_4")}) == []
    signature = "def f(\n" + "".join(f"    a{number}: int,\n" for number in range(LINES)) + ") -> None:\n    pass\n"
    assert duplicates({"a.py": signature + LOOP, "b.py": signature}) == []
