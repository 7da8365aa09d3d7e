"""``/``: what runs here, and what to try next."""

from __future__ import annotations

from flask import Blueprint, Response

from ...web.pages import page as as_page

page = Blueprint("home", __name__)


@page.get("/")
def index() -> Response:
    """Return the page with this machine, its wukongs, and commands to try."""
    return as_page("home.html")
