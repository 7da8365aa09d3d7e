"""Pages: templates, with the headers of every page beside those of every answer."""

from __future__ import annotations

from flask import Response, make_response, render_template

from ..extensions import simulcast
from . import texts

_POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_DATA_IMAGES = "; img-src 'self' data:"


def page(template: str, status: int = 200, *, has_data_images: bool = False) -> Response:
    """Return a template as a page that loads nothing from other origins, runs no inline script, and allows no framing.

    The template gets `t`, which returns a text by its key. A key that is in no table is an error.

    Args:
        has_data_images: Whether its style sheets hold small images.
    """
    language = texts.language()
    page = render_template(
        template,
        heartbeat_ms=round(simulcast.settings.heartbeat_seconds * 1000),
        language=language,
        languages=texts.LANGUAGES,
        place=texts.place,
        t=texts.table(language).__getitem__,
        texts=texts.table_of(language, template.removesuffix(".html")),
    )
    response = make_response(page, status)
    response.vary.add("Accept-Language")
    response.headers["Content-Language"] = language
    return add_headers(response, has_data_images=has_data_images)


def add_headers(response: Response, *, has_data_images: bool = False) -> Response:
    """Add the headers of a page to a response, and return it."""
    response.headers["Content-Security-Policy"] = _POLICY + (_DATA_IMAGES if has_data_images else "")
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
