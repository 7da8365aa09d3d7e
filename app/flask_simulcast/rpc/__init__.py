"""Services by RPC: gRPC, gRPC-Web and Connect. Needs the extra ``flask-simulcast[rpc]``.

A call is a request like any other: Flask, the authorizer, limits and log lines see it. An app adds a service of its own, whose
messages ``protoc`` has made::

    class Greeter(rpc.Service):
        def __init__(self):
            super().__init__(pb.DESCRIPTOR.services_by_name["Greeter"], {"Greet": self._greet})

        def _greet(self, call):
            name = call.message(pb.GreetRequest).name
            return rpc.replied(call.dialect, pb.GreetResponse(text=f"Hello, {name}"))

    Greeter().register(blueprint)
"""

from __future__ import annotations

from ..encoding.rpc.codec import Codec
from ..encoding.rpc.codes import CallError, Code
from ..encoding.rpc.dialect import OF_STREAMS, Dialect
from ..encoding.rpc.subscribed import ENCODINGS
from ..transports.rpc import MAX_QUESTION_BYTES, Call, DuplexCall, replied
from .service import Service, call_error, duplex, received, streamed

__all__ = [
    "ENCODINGS",
    "MAX_QUESTION_BYTES",
    "OF_STREAMS",
    "Call",
    "CallError",
    "Code",
    "Codec",
    "Dialect",
    "DuplexCall",
    "Service",
    "call_error",
    "duplex",
    "received",
    "replied",
    "streamed",
]
