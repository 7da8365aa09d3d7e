"""The hub over one WebSocket, in both directions: ``/ws``. docs/websocket-hub.md describes the protocol."""

from __future__ import annotations

from .routes import api

__all__ = ["api"]
