"""``/docs/``: the pages that ``scripts/docs`` has built; and ``/docs/openapi/``, which shows and tries ``/openapi.json``."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Blueprint, Response, abort, current_app, redirect, send_from_directory, url_for
from werkzeug.security import safe_join
from werkzeug.wrappers import Response as BaseResponse

from ...web.pages import add_headers
from ...web.pages import page as as_page

page = Blueprint("docs", __name__, url_prefix="/docs")

_BUILT = Path("build", "docs")  # beside app/


@page.get("/")
@page.get("/<path:name>")
def document(name: str = "") -> BaseResponse:
    """Return a page of the documents, or a file that it loads. If they are not built: 404, and how to build them."""
    site = Path(current_app.root_path).parent / _BUILT
    if not site.is_dir():
        return as_page("docs.html", 404)
    path = safe_join(str(site), name)
    if path is None:
        abort(404)
    if os.path.isdir(path):  # unlike Path.is_dir, it takes any name
        if name and not name.endswith("/"):
            return redirect(url_for(".document", name=f"{name}/"))
        name += "index.html"
    return add_headers(send_from_directory(site, name), has_data_images=True)


@page.get("/openapi/")
def openapi() -> Response:
    """Return the page that tries the routes."""
    return as_page("openapi.html", has_data_images=True)
