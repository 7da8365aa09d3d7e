"""Pages: templates, with the headers of every page beside those of every answer."""

from __future__ import annotations

from flask import Response, make_response, render_template

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
}


def page(template: str) -> Response:
    """Return a template as a page that loads nothing from other origins, runs no inline script, and allows no framing."""
    response = make_response(render_template(template))
    response.headers.update(_HEADERS)
    return response
