"""The same answers by the UI message stream of Vercel's AI SDK, which `useChat` speaks: another encoding of the same run."""

from __future__ import annotations

from .routes import api

__all__ = ["api"]
