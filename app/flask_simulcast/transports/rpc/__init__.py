"""Calls of gRPC-Web and Connect: from a request to messages, and from messages to a response."""

from __future__ import annotations

from .answer import failed, replied
from .body import MAX_QUESTION_BYTES
from .call import Call
from .duplex import DuplexCall, can_go_on
from .waiting import until_drained

__all__ = ["MAX_QUESTION_BYTES", "Call", "DuplexCall", "can_go_on", "failed", "replied", "until_drained"]
