"""The same in stock grpcio, for comparison: its server in gunicorn's gevent worker, with a queue for each call.

The port of gRPC is ``GRPC_PORT``; an event is POSTed to ``/publish`` as the text that all calls get.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import grpc
from flask import Flask, request
from gevent.queue import Queue
from grpc.experimental.gevent import init_gevent

from app.flask_simulcast.proto.simulcast.v1 import stream_pb2 as pb

_MOST_CALLS = 2000
_SERVICE = "simulcast.v1.StreamService"
_queues: set[Queue[pb.SubscribeResponse | None]] = set()
_numbers = count(1)

app = Flask(__name__)


@app.get("/healthz")
def health() -> str:
    """Answer."""
    return "ok"


@app.post("/publish")
def publish() -> str:
    """Hand one message to all calls."""
    _hand_out("bench", request.get_data(as_text=True))
    return ""


def _hand_out(channel: str, json: str) -> pb.PublishResponse:
    message = pb.SubscribeResponse(event=pb.Event(channel=channel, json=json))
    for queue in _queues:
        queue.put(message)
    return pb.PublishResponse(id=str(next(_numbers)))


def _subscribe(asked: pb.SubscribeRequest, context: grpc.ServicerContext) -> Iterator[pb.SubscribeResponse]:
    queue: Queue[pb.SubscribeResponse | None] = Queue()
    _queues.add(queue)
    context.add_callback(lambda: queue.put(None))  # the client has left: its thread must end, for the next call
    yield pb.SubscribeResponse(connected=pb.Connected(channels=asked.channels))
    while (message := queue.get()) is not None:
        yield message
    _queues.discard(queue)


def _publish(asked: pb.PublishRequest, context: grpc.ServicerContext) -> pb.PublishResponse:
    return _hand_out(asked.channel, asked.json)


def _connect(commands: Iterator[pb.ConnectRequest], context: grpc.ServicerContext) -> Iterator[pb.ConnectResponse]:
    for asked in commands:
        reply = pb.Reply(id=asked.id)
        if asked.HasField("publish"):
            reply.published.CopyFrom(_hand_out(asked.publish.channel, asked.publish.json))
        else:
            reply.pong.time.GetCurrentTime()
        yield pb.ConnectResponse(reply=reply)


def _start() -> grpc.Server:
    init_gevent()
    server = grpc.server(ThreadPoolExecutor(_MOST_CALLS))
    handlers = {
        "Subscribe": grpc.unary_stream_rpc_method_handler(
            _subscribe, pb.SubscribeRequest.FromString, pb.SubscribeResponse.SerializeToString
        ),
        "Publish": grpc.unary_unary_rpc_method_handler(
            _publish, pb.PublishRequest.FromString, pb.PublishResponse.SerializeToString
        ),
        "Connect": grpc.stream_stream_rpc_method_handler(
            _connect, pb.ConnectRequest.FromString, pb.ConnectResponse.SerializeToString
        ),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(_SERVICE, handlers)])
    server.add_insecure_port(f"127.0.0.1:{os.environ['GRPC_PORT']}")
    server.start()
    return server


server = _start()
