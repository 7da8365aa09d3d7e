"""Pages: templates, with the headers of every page beside those of every answer."""

from __future__ import annotations

from flask import Response, make_response, render_template

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
}


def page(template: str) -> Response:
    """A template as a page: nothing of other origins, no script within it, in nobody's frame."""
    response = make_response(render_template(template))
    response.headers.update(_HEADERS)
    return response
