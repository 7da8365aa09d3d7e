"""Texts of the pages: one table for each language. `?lang=` chooses it, or what the browser prefers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from flask import request, url_for

#: Each language by its code, with its own name for itself. The first one is for all others.
LANGUAGES = {"en": "English", "zh": "中文"}

#: A text; or its forms by the plural categories of CLDR, chosen by its value `count`.
Text = str | Mapping[str, str]

_FOLDER = Path(__file__).resolve().parents[1] / "texts"
# What every page needs.
_SHELL = "shell"


@cache
def table(language: str) -> Mapping[str, Text]:
    """Return the texts of a language, by their keys: `<page>.<name>`."""
    texts: Mapping[str, Text] = json.loads((_FOLDER / f"{language}.json").read_text("utf-8"))
    return texts


@cache
def table_of(language: str, page: str) -> Mapping[str, Text]:
    """Return the texts that the modules of a page need: its own, and those of every page."""
    return {key: text for key, text in table(language).items() if key.partition(".")[0] in (_SHELL, page)}


def asked_language() -> str:
    """Return the language that the query of the current request asks for; empty for none that there is."""
    asked = request.args.get("lang", "")
    return asked if asked in LANGUAGES else ""


def language() -> str:
    """Return the language of the answer to the current request."""
    wanted = [tag.partition("-")[0].lower() for tag in request.accept_languages.values()]  # zh-CN before en
    return asked_language() or next((code for code in wanted if code in LANGUAGES), next(iter(LANGUAGES)))


def place(endpoint: str) -> str:
    """Return the URL of a page, in the language that was asked for."""
    return url_for(endpoint, lang=asked_language() or None)
