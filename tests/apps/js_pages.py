"""The service, with pages of React and Vue beside it, which import the client as the service serves it."""

from __future__ import annotations

from flask import Response, send_file

from app import create_app
from app.extensions import simulcast
from app.flask_simulcast import Run
from app.identity.tokens import mint
from tests.tools.fleet import JWT_KEY
from tests.tools.serving import ROOT

PAGES = ROOT / "clients/js/test/pages"
FOLDERS = (ROOT / "clients/js/node_modules", ROOT / "tests/parsers/node_modules")
# React 18 has no ES modules, so these hand on what its scripts have made.
SHIMS = {
    "react": "export default React; export const { StrictMode, createElement, useEffect, useState } = React;",
    "react-dom": "export const { createRoot } = ReactDOM;",
}
PAGE = """<!doctype html><meta charset="utf-8"><title>{name}</title><link rel="icon" href="data:,">
<div id="root"></div>{scripts}<script type="importmap">
{{"imports": {{"react": "/shim/react.js", "react-dom/client": "/shim/react-dom.js",
"vue": "/npm/vue/dist/vue.runtime.esm-browser.prod.js"}}}}
</script><script type="module" src="/page/{name}.js"></script>"""
SCRIPTS = '<script src="/npm/react/umd/react.development.js"></script><script src="/npm/react-dom/umd/react-dom.development.js"></script>'

app = create_app()


@app.get("/blank")
def blank() -> str:
    return '<!doctype html><title>Blank</title><link rel="icon" href="data:,">'


@app.get("/<any(react, vue):name>")
def page(name: str) -> Response:
    """As a login would, it gives the page a token."""
    response = Response(PAGE.format(name=name, scripts=SCRIPTS if name == "react" else ""), mimetype="text/html")
    response.set_cookie("token", mint(JWT_KEY, seconds=600, user="ann", subscribe=["*", "presence:room", "run:*"]))
    return response


@app.get("/page/<name>")
def script(name: str) -> Response:
    return send_file(PAGES / name, mimetype="text/javascript")


@app.get("/shim/<name>.js")
def shim(name: str) -> Response:
    return Response(SHIMS[name], mimetype="text/javascript")


@app.get("/npm/<path:name>")
def module(name: str) -> Response:
    return send_file(next(folder / name for folder in FOLDERS if (folder / name).exists()), mimetype="text/javascript")


@app.get("/count")
def count() -> Response:
    """A run of a few events: the first request starts it, all watch it."""

    def work(run: Run) -> dict[str, int]:
        for percent in (0, 50, 100):
            run.publish({"percent": percent}, type="progress")
        return {"counted": 100}

    return simulcast.run_sse(simulcast.start_run(work).id)
