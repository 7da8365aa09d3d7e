"""Wukongs by RPC: ``wukongs.v1.WukongService``, with the rights and the code of the HTTP routes."""

from __future__ import annotations

from .service import blueprint

__all__ = ["blueprint"]
