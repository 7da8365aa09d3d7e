"""Preflights in a user's own app: a browser asks whether a page of another origin may send a stream's request.

Whether a view streams is unknown before it has run. So a GET is allowed for every view: any page could send one without
asking, and it can read only a stream's answer, which alone has the headers for it. Methods that can change something are
allowed only for marked views.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from flask import Response, current_app, request
from flask.globals import request_ctx
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from .. import cors

ViewFunction = TypeVar("ViewFunction", bound=Callable[..., Any])

_MARK = "simulcast_cross_origin"
_READING = frozenset({"GET", "HEAD"})


def marked(view: ViewFunction) -> ViewFunction:
    """Mark a view, so that methods other than GET are allowed, too. Return the view."""
    setattr(view, _MARK, True)
    return view


def answered(response: Response, allowed: Collection[str]) -> Response:
    """Answer a preflight of an allowed origin. Called after each request. The answer replaces Flask's, or a login's: the login
    can't know the user, as a preflight carries no cookie and no token.

    Args:
        response: The answer to the current request. Returned unchanged if the request is no such preflight, or if the app has
            answered it with CORS headers.
        allowed: Origins besides the app's own.
    """
    method = request.headers.get("Access-Control-Request-Method", "")
    if request.method != "OPTIONS" or not method or "Access-Control-Allow-Origin" in response.headers:
        return response
    if not getattr(request.url_rule, "provide_automatic_options", False) or not _may_be_sent(method):
        return response
    asked = request.headers.get("Access-Control-Request-Headers", "")
    headers = cors.preflight_headers(request.headers.get("Origin"), allowed, {method}, asked)
    return Response(status=204, headers=headers) if "Access-Control-Allow-Origin" in headers else response


def _may_be_sent(method: str) -> bool:
    """Tell whether the view of this URL and method accepts requests of other origins."""
    adapter = request_ctx.url_adapter
    assert adapter is not None
    try:
        endpoint, _ = adapter.match(method=method)
    except (HTTPException, RequestRedirect):
        return False  # there is no such view
    return method in _READING or hasattr(current_app.view_functions[endpoint], _MARK)
