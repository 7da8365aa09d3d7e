"""``flask simulcast run``: Flask's own development server, and what to paste into a second terminal."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import ScriptInfo, run_command

# The methods that make a stream: a view that has one of these names in its code probably answers with one.
_STREAMS = frozenset({"sse", "ndjson", "stream", "writer", "json_rows"})
_MOST_SHOWN = 5


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def run(context: click.Context, options: tuple[str, ...]) -> None:
    """Run Flask's development server, and print lines that listen and publish. Takes the options of `flask run`."""
    # Flask's own command reads them, its help and FLASK_RUN_PORT too, and refuses what is wrong.
    given = run_command.make_context("run", list(options), parent=context.find_root()).params
    scheme = "https" if given["cert"] else "http"
    host = f"[{given['host']}]" if ":" in given["host"] else given["host"]
    path = context.ensure_object(ScriptInfo).app_import_path
    click.echo("\n".join(_told(f"{scheme}://{host}:{given['port']}", f"flask --app {path}" if path else "flask")))
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *_own_line(), "run", *options])


def _own_line() -> list[str]:
    """Return the arguments of Python that stand before ``simulcast run``: how this app's ``flask`` is called."""
    line = sys.orig_argv[1:]
    at = next(n for n in range(len(line) - 1, 0, -1) if line[n - 1 : n + 1] == ["simulcast", "run"])
    return line[: at - 1]


def _told(url: str, flask: str) -> Iterator[str]:
    paths = list(islice(_stream_paths(current_app), _MOST_SHOWN))
    yield (
        "Listen in a second terminal:"
        if paths
        else "No view of this app streams yet. Return simulcast.sse(…) from one."
    )
    yield from (f"  curl -N '{url}{path}'" for path in paths)
    yield "Publish to its channel:"
    yield f'  {flask} simulcast publish CHANNEL \'{{"hello": "world"}}\''


def _stream_paths(app: Flask) -> Iterator[str]:
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and _streams(app.view_functions[rule.endpoint]):
            yield rule.rule


def _streams(view: Any) -> bool:
    code = getattr(inspect.unwrap(view), "__code__", None)
    return code is not None and not _STREAMS.isdisjoint(code.co_names)
