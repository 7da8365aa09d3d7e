"""What a block's language says of it, and the check that each block of it must pass before anything is run."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser

import yaml

from tests.tools.require import require


def check_python(text: str) -> None:
    """It compiles."""
    compile(text, "<block>", "exec", ast.PyCF_ONLY_AST)


def check_shell(text: str) -> None:
    """bash can read it."""
    _ask([require("bash", shutil.which("bash")), "-n"], text)


def check_javascript(text: str) -> None:
    """node can read it, as a module: imports and await at the top are allowed."""
    _ask([require("node", shutil.which("node")), "--check", "--input-type=module"], text)


def check_json(text: str) -> None:
    """It is one JSON value."""
    json.loads(text)


def check_json_lines(text: str) -> None:
    """Each line is one JSON object."""
    for line in text.splitlines():
        assert isinstance(json.loads(line), dict), line


def check_http(text: str) -> None:
    """A request or the head of an answer, then an empty line and a body."""
    first, *fields = text.partition("\n\n")[0].splitlines()
    assert "HTTP/1.1" in first.split(), first
    assert all(": " in field for field in fields), fields


def check_yaml(text: str) -> None:
    """It is a YAML document."""
    assert yaml.safe_load(text) is not None


def check_html(text: str) -> None:
    """It closes what it opens."""
    parser = _Tags()
    parser.feed(text)
    parser.close()
    assert not parser.open, parser.open


def check_metrics_query(text: str) -> None:
    """An expression a line, its brackets closed; the metrics are looked for by the page's test."""
    for line in text.splitlines():
        expression = line.partition("#")[0]
        assert all(expression.count(a) == expression.count(b) for a, b in ("()", "[]", "{}")), line
        assert expression.count('"') % 2 == 0, line


def check_nginx(text: str) -> None:
    """Each line is a statement, opens a block or closes one; whether nginx takes it, the page's test finds out."""
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    assert all(line.endswith((";", "{", "}")) for line in lines if line), text
    assert text.count("{") == text.count("}"), text


def check_brackets(text: str) -> None:
    """It closes the brackets that it opens; the page's test says what else is looked at."""
    assert all(text.count(a) == text.count(b) for a, b in ("()", "[]", "{}")), text


def check_output(text: str) -> None:
    """What a program has printed; the page's test compares it with what the program prints."""
    assert text.strip()


CHECKS: dict[str, Callable[[str], None]] = {
    "python": check_python,
    "sh": check_shell,
    "js": check_javascript,
    "json": check_json,
    "jsonl": check_json_lines,
    "http": check_http,
    "yaml": check_yaml,
    "html": check_html,
    "promql": check_metrics_query,
    "nginx": check_nginx,
    "java": check_brackets,
    "dart": check_brackets,
    "swift": check_brackets,
    "text": check_output,
}


class _Tags(HTMLParser):
    """The tags that are open."""

    _void = ("meta", "input", "br", "link", "img")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attributes: object) -> None:
        if tag not in self._void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"


def _ask(command: list[str], text: str) -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
