"""Services by RPC: gRPC, gRPC-Web and Connect. Needs the extra ``flask-simulcast[rpc]``.

A call is a request like any other: Flask, the authorizer, limits and log lines see it.
"""

from __future__ import annotations

from .service import Service

__all__ = ["Service"]
