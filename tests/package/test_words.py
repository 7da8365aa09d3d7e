"""Texts are in plain technical English: no phrase that has to be read twice stands in a document, docstring, comment or message."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from tests.tools.serving import ROOT

FOLDERS = ("app", "docs", "examples", "tests")
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
BETTER = {
    r"who(?:m|se)?ever": "the actor: the client that, the caller that",
    r"(?:some|no|any|every)body": "the actor: a listener, no worker, all clients",
    r"those who": "listeners that, clients that",
    r"so (?:long|many|often)(?! (?:as|that))": "the amount: for 5 seconds, up to 100 events, at most once",
    r"any more(?! (?:than|of))": "no longer, or a verb: stop sending",
    r"no more(?! than)": "nothing left, or a verb: stop listening",
    r"(?<=[,;:] )for that": "because",
    r"(?<!, )but for": "except",
    r"as ever": "as before, unchanged",
    r"may not": "must not (a prohibition), or might not (a chance)",
    r"need not": "does not have to",
    r"(?:is|are|was|were) to be": "must be, or a verb",
    r"without a word": "silently",
    r"thereby|whereof|befell": "a plain verb",
}
PHRASES = {re.compile(rf"(?<!\w){phrase}\b", re.IGNORECASE): better for phrase, better in BETTER.items()}
CODE = re.compile(r"``.*?``|`[^`\n]*`|^ *\w+(?=: )", re.MULTILINE)  # and the name of an argument before its explanation


def texts_of_python(source: str, *, with_messages: bool) -> Iterator[tuple[int, str]]:
    """Lines and texts: docstrings, comments, names of tests, and messages (strings with a space) if asked for."""
    nodes = list(ast.walk(ast.parse(source)))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        match node:
            case ast.FunctionDef(name=name) if name.startswith("test_"):
                yield node.lineno, name.replace("_", " ")
            case ast.Constant(value=str(text)) if id(node) in docstrings or (with_messages and " " in text):
                yield node.lineno, text
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def texts_of_lua(source: str) -> Iterator[tuple[int, str]]:
    """Lines and their comments."""
    for number, line in enumerate(source.splitlines(), 1):
        yield number, line.partition("--")[2]


def texts_of_markdown(source: str) -> Iterator[tuple[int, str]]:
    """Lines outside of code blocks."""
    is_code = False
    for number, line in enumerate(source.splitlines(), 1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code:
            yield number, line


def texts_of(path: Path) -> Iterator[tuple[int, str]]:
    """Lines and texts of a file of ours; of any other, nothing."""
    match path.suffix:
        case ".py":
            return texts_of_python(path.read_text(), with_messages=path.is_relative_to(ROOT / "app"))
        case ".lua":
            return texts_of_lua(path.read_text())
        case ".md":
            return texts_of_markdown(path.read_text())
    return iter(())


def found_in(texts: Iterator[tuple[int, str]]) -> Iterator[str]:
    """Each phrase of the table in these texts, with its line and the better wording."""
    for line, text in texts:
        prose = CODE.sub("", text)
        for phrase, better in PHRASES.items():
            for match in phrase.finditer(prose):
                yield f"{line + prose.count(chr(10), 0, match.start())}: {match.group().strip()!r}. Better: {better}."


def test_no_text_has_a_phrase_that_must_be_read_twice() -> None:
    paths = [ROOT / page for page in PAGES]
    paths += [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.*"))]
    found = [
        f"{path.relative_to(ROOT)}:{one}"
        for path in paths
        if "node_modules" not in path.parts
        for one in found_in(texts_of(path))
    ]
    assert not found, "\n".join(found)


def test_a_phrase_is_found_where_it_is_prose() -> None:
    source = '"""Wait.\n\nFor so long."""\n# may not\nx = "somebody"\ny = "a ``nobody`` or no more than one"\n'
    assert [one.partition(".")[0] for one in found_in(texts_of_python(source, with_messages=True))] == [
        "3: 'so long'",
        "4: 'may not'",
    ]
    page = "Open it, for that is quick.\n```\nwhoever\n```\n`whoever` is a name.\n"
    assert [one.partition(".")[0] for one in found_in(texts_of_markdown(page))] == ["1: 'for that'"]
