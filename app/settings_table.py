"""docs/settings.md, written from the tables themselves: ``scripts/settings-table``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from .config import TABLE
from .flask_simulcast import Settings

_HEAD = """# Settings

Written by `scripts/settings-table`. Settings are read once, at start. A wrong value stops the start; the error has the key, the value
and an example. The service reads them from the environment and refuses a `SIMULCAST_` variable that it does not know. In your own app
they are keys of `app.config`. There, an unknown key that looks like a setting causes a warning; name your own keys with
`init_app(own_settings=…)`.
"""


def page() -> str:
    """The whole page."""
    parts = [_HEAD, "## The extension\n", _table(_extension_rows()), "## The service\n", _table(_service_rows())]
    parts.append("gunicorn's own (`BIND`, `WEB_CONCURRENCY`, …) are in [operations](operations.md).\n")
    return "\n".join(parts)


def _extension_rows() -> Iterator[tuple[str, object, str, str]]:
    for row in dataclasses.fields(Settings):
        yield row.name, row.default, row.metadata["unit"], row.metadata["help"]


def _service_rows() -> Iterator[tuple[str, object, str, str]]:
    for row in TABLE:
        yield row.name, row.default, row.unit, row.help


def _table(rows: Iterable[tuple[str, object, str, str]]) -> str:
    lines = ["| key | default | unit | what it does |", "| --- | --- | --- | --- |"]
    for name, default, unit, help in rows:
        shown = f"`{default}`" if default not in ("", [], ()) else "none"
        lines.append(f"| `SIMULCAST_{name.upper()}` | {shown} | {unit} | {help} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
