"""The service, with a page beside it that imports what npm has put into tests/parsers: a browser's own import map is all the tooling."""

from __future__ import annotations

from flask import Response, send_file

from app import create_app
from tests.tools.serving import ROOT

FOLDER = ROOT / "tests" / "parsers" / "node_modules"
_PAGE = """<!doctype html><meta charset="utf-8"><title>npm</title><script type="importmap">
{"imports": {"@microsoft/fetch-event-source": "/npm/@microsoft/fetch-event-source/lib/esm/index.js"}}
</script>"""

app = create_app()


@app.get("/npm")
def page() -> Response:
    return Response(_PAGE, mimetype="text/html")


@app.get("/npm/<path:name>")
def module(name: str) -> Response:
    """Its modules import each other without the ending."""
    return send_file(FOLDER / (name if name.endswith(".js") else f"{name}.js"), mimetype="text/javascript")
