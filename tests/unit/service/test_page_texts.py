"""The texts of the pages: no language lacks one, and no page asks for one that there is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.web import texts
from tests.tools.serving import ROOT

FILES = [*sorted((ROOT / "app/templates").glob("*.html")), *sorted((ROOT / "app/static").glob("*.js"))]
ENGLISH = texts.table("en")
# A key, or its beginning where the rest is known only when it runs. A module may choose between keys before it asks.
ASKED = re.compile(r"""(?<![\w.$])(?:t|has|named)\(\s*["'`](\w[\w.]*)""")
CHOSEN = re.compile(r'[?:,] "([a-z]+\.[\w.]+)(?<!\.js)"')
VALUE = re.compile(r"\{\w+\}")


def forms(text: texts.Text) -> list[str]:
    return [text] if isinstance(text, str) else list(text.values())


@pytest.mark.parametrize("language", texts.LANGUAGES)
def test_each_language_has_all_texts_with_the_same_values(language: str) -> None:
    table = texts.table(language)
    assert list(table) == list(ENGLISH)
    for key, text in table.items():
        assert all(form.strip() for form in forms(text)), key
        expected = set(VALUE.findall(forms(ENGLISH[key])[-1]))
        assert all(set(VALUE.findall(form)) <= expected for form in forms(text)), key
        assert set(VALUE.findall(forms(text)[-1])) == expected, key
        assert isinstance(text, str) or "other" in text, key


def asked_by(source: str) -> set[str]:
    """Keys, and beginnings of keys without their last dot."""
    return {key.rstrip(".") for key in (*ASKED.findall(source), *CHOSEN.findall(source))}


def begins(beginning: str) -> list[str]:
    return [key for key in ENGLISH if key.startswith(f"{beginning}.")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_page_asks_only_for_texts_that_there_are(file: Path) -> None:
    assert [key for key in asked_by(file.read_text()) if key not in ENGLISH and not begins(key)] == []


def test_no_text_is_left_over() -> None:
    asked = asked_by("\n".join(file.read_text() for file in FILES))
    assert [key for key in ENGLISH if key not in asked and key.rpartition(".")[0] not in asked] == []
