"""docs/settings.md, written from the tables themselves: ``scripts/settings-table``."""

from __future__ import annotations

from .config import TABLE
from .flask_simulcast import Settings, rows

_HEAD = """# Settings

Written by `scripts/settings-table`. Every key begins with `SIMULCAST_`. Settings are read once, at
start; a wrong value stops the start, and the error has the key, the value and an example.

- **The service** reads them from the environment. It refuses a `SIMULCAST_` variable that is not a
  setting.
- **Your own app** has them in `app.config`. Those that are marked *service* have no effect there.
  A `SIMULCAST_` key that has no effect causes a warning; name your own keys with
  `init_app(own_settings=…)`.

A list is text with commas between its items, or a list in `app.config`. A setting that is true or
false is `true` or `false`, or 1 or 0.
"""
_ABOUT = {
    rows.Shelf.FIRST: "A service that is reached from the Internet needs all five; an app needs the first.",
    rows.Shelf.LIMITS: (
        "Each one protects memory, disk or other clients. Rates and connections are counted in each worker. The publish "
        "key has no rate limit."
    ),
    rows.Shelf.RARELY: "The defaults are right for most installations.",
}
_FOOT = "gunicorn's own variables (`BIND`, `WEB_CONCURRENCY`, …) are in [operations](operations.md).\n"


def page() -> str:
    """Write the whole page."""
    shelves = [f"## {shelf}\n\n{about}\n\n{_table(shelf)}" for shelf, about in _ABOUT.items()]
    return "\n".join([_HEAD, *shelves, _FOOT])


def _table(shelf: rows.Shelf) -> str:
    lines = ["| key | default | unit | in | what it holds |", "| --- | --- | --- | --- | --- |"]
    lines += [_line(row, "both") for row in Settings.rows() if row.shelf is shelf]
    lines += [_line(row, "service") for row in TABLE if row.shelf is shelf]
    return "\n".join(lines) + "\n"


def _line(row: rows.Row, of: str) -> str:
    return f"| `{row.key}` | {_shown(row)} | {row.unit} | {of} | {row.help} |"


def _shown(row: rows.Row) -> str:
    if row.default in ("", ()):
        return "none"
    shown = f"`{str(row.default).lower()}`" if isinstance(row.default, bool) else f"`{row.default}`"
    return f"{shown} ({_size(row.default)})" if row.unit.startswith("bytes") else shown


def _size(count: int) -> str:
    """Show bytes as KiB or MiB."""
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"


if __name__ == "__main__":
    print(page(), end="")
