"""The same in stock grpcio, for comparison: its server in gunicorn's gevent worker, with a queue for each call.

The port of gRPC is ``GRPC_PORT``; an event is POSTed to ``/publish`` as the text that all calls get.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
from flask import Flask, request
from gevent.queue import Queue
from grpc.experimental.gevent import init_gevent

from app.flask_simulcast.proto.simulcast.v1 import stream_pb2 as pb

from .wires import SUBSCRIBE

_MOST_CALLS = 2000
_service, _, _method = SUBSCRIBE[1:].partition("/")
_queues: set[Queue[pb.SubscribeResponse | None]] = set()

app = Flask(__name__)


@app.get("/healthz")
def health() -> str:
    """Answer."""
    return "ok"


@app.post("/publish")
def publish() -> str:
    """Hand one message to all calls."""
    message = pb.SubscribeResponse(event=pb.Event(channel="bench", json=request.get_data(as_text=True)))
    for queue in _queues:
        queue.put(message)
    return ""


def _subscribe(asked: pb.SubscribeRequest, context: grpc.ServicerContext) -> Iterator[pb.SubscribeResponse]:
    queue: Queue[pb.SubscribeResponse | None] = Queue()
    _queues.add(queue)
    context.add_callback(lambda: queue.put(None))  # the client has left: its thread must end, for the next call
    yield pb.SubscribeResponse(connected=pb.Connected(channels=asked.channels))
    while (message := queue.get()) is not None:
        yield message
    _queues.discard(queue)


def _start() -> grpc.Server:
    init_gevent()
    server = grpc.server(ThreadPoolExecutor(_MOST_CALLS))
    handler = grpc.unary_stream_rpc_method_handler(
        _subscribe, pb.SubscribeRequest.FromString, pb.SubscribeResponse.SerializeToString
    )
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(_service, {_method: handler})])
    server.add_insecure_port(f"127.0.0.1:{os.environ['GRPC_PORT']}")
    server.start()
    return server


server = _start()
