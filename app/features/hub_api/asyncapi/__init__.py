"""The stream and the WebSocket of the hub as an AsyncAPI document, beside the OpenAPI document of its routes."""

from __future__ import annotations

from .routes import api

__all__ = ["api"]
