"""Calls and events as gRPC, gRPC-Web and Connect write them. Needs the extra ``flask-simulcast[rpc]``. Pure."""

from __future__ import annotations
