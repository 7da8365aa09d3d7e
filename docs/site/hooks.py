"""Hooks of mkdocs: pages from outside of docs/, the list of pages, and no inline scripts.

The pages stay as they are read in the repository: this module changes their links, not the texts.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
# Where a file of the repository stands among the pages. Files of other folders are taken if a page links to them.
OUTSIDE = {
    "README.md": "readme.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security-policy.md",
    "CHANGELOG.md": "changelog.md",
    "examples/README.md": "examples.md",
    "app/flask_simulcast/README.md": "extension.md",
    "benchmarks/README.md": "benchmarks-how.md",
    "app/static/favicon.svg": "logo.svg",
}
# Pages of the service itself, seen from its documents.
_SERVED = [
    {"Status": "../"},
    {"Routes, to try": "openapi/"},
    {"openapi.json": "../openapi.json"},
    {"asyncapi.json": "../asyncapi.json"},
]
_INSIDE = {name: source for source, name in OUTSIDE.items()}
_LINK = re.compile(r"\]\(([^)\s:#]+)(#[^)\s]*)?\)")
_ROW = re.compile(r"^\| \[([^\]]+)\]\(([^)]+)\)", re.MULTILINE)
# What a browser runs: data in a script of another type is left where it is.
_INLINE = re.compile(r"<script>(.+?)</script>", re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the pages as docs/index.md does: its headings are the groups."""
    groups = (ROOT / "docs" / "index.md").read_text().split("\n## ")[1:]
    listed = [
        {group.partition("\n")[0]: [{title: _page_of(path)} for title, path in _ROW.findall(group)]} for group in groups
    ]
    config.nav = [{"All pages": "index.md"}, *listed, {"This service": _SERVED}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside of docs/, and the files that a page links to."""
    for source, name in OUTSIDE.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / source)))
    for file in files.documentation_pages():
        for path, _ in _LINK.findall(file.content_string):
            source = _source_of(file.src_uri, path)
            name = _name_of(source)
            if name.startswith("files/") and (ROOT / source).is_file() and files.get_file_from_path(name) is None:
                files.append(File.generated(config, name, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to where the pages and files stand here."""

    def link(match: re.Match[str]) -> str:
        target = _name_of(_source_of(page.file.src_uri, match[1]))
        return f"]({posixpath.relpath(target, posixpath.dirname(page.file.src_uri) or '.')}{match[2] or ''})"

    return _LINK.sub(link, markdown)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Move each inline script into a file: the service's Content-Security-Policy allows none in a page."""
    base = "../" * page.url.count("/")

    def script(match: re.Match[str]) -> str:
        name = f"assets/inline/{hashlib.sha256(match[1].encode()).hexdigest()[:12]}.js"
        path = Path(config.site_dir) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(match[1])
        return f'<script src="{base}{name}"></script>'

    return _INLINE.sub(script, output)


def _page_of(path: str) -> str:
    """Return the name here of what docs/index.md links to."""
    return _name_of(posixpath.normpath(posixpath.join("docs", path)))


def _source_of(page: str, path: str) -> str:
    """Return the path in the repository of a page's link."""
    source = _INSIDE.get(page, f"docs/{page}")
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), path))


def _name_of(source: str) -> str:
    """Return where a file of the repository stands among the pages."""
    return OUTSIDE.get(source, source.removeprefix("docs/") if source.startswith("docs/") else f"files/{source}")
