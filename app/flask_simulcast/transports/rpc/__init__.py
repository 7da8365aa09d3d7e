"""Calls of gRPC-Web and Connect: from a request to messages, and from messages to a response."""

from __future__ import annotations

from .answer import failed, replied
from .call import Call
from .duplex import DuplexCall

__all__ = ["Call", "DuplexCall", "failed", "replied"]
