"""A small app that streams rows in two ways, and answers small requests."""

from __future__ import annotations

import json
from collections.abc import Iterator

from flask import Flask, Response, jsonify

from app.flask_simulcast import Simulcast

ROWS = 100_000

app = Flask(__name__)
simulcast = Simulcast(app)


def rows() -> Iterator[dict[str, object]]:
    """Yield rows of about 76 bytes as JSON."""
    for number in range(ROWS):
        yield {"id": number, "name": f"wukong-{number}", "status": "online", "load": 0.42, "cores": 8}


def one_by_one() -> Iterator[str]:
    """Yield the same document a row at a time, as one writes it by hand."""
    separator = '{"rows":['
    for row in rows():
        yield separator + json.dumps(row)
        separator = ","
    yield "]}"


@app.get("/rows")
def streamed() -> Response:
    """Stream the rows our way."""
    return simulcast.json_rows("rows", rows())


@app.get("/rows-one-by-one")
def plain() -> Response:
    """Stream the rows the plain way."""
    return Response(one_by_one(), mimetype="application/json")


@app.get("/small")
def small() -> Response:
    """Answer a small request that has nothing to do with the rows."""
    return jsonify(status="ok")
