"""NDJSON: which clients ask for it."""

from __future__ import annotations

from flask import Request


def is_wanted(request: Request) -> bool:
    """Tell whether the client asks for lines."""
    accept = request.accept_mimetypes
    return "application/x-ndjson" in request.headers.get("Accept", "") and (
        accept["application/x-ndjson"] >= accept["text/event-stream"]
    )
