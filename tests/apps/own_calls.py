"""An app with calls of its own. What they do is in the events that clients send: their names are those of ``StreamService``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import gevent
from flask import Blueprint, Flask, Response, request
from gevent.event import Event as Flag

from app.flask_simulcast import Simulcast, rpc
from app.flask_simulcast.proto.simulcast.v1 import stream_pb2 as pb

app = Flask(__name__)
app.config |= {"SIMULCAST_BROKER_URL": "memory://", "SIMULCAST_HTTP2": "1"}
app.config |= {name: value for name, value in os.environ.items() if name == "SIMULCAST_DRAIN_SECONDS"}
simulcast = Simulcast(app)


class OwnCalls(rpc.Service):
    """The calls."""

    def __init__(self) -> None:
        methods = {"Publish": self._fail, "PublishStream": self._count, "Subscribe": self._tell, "Connect": self._echo}
        super().__init__(pb.DESCRIPTOR.services_by_name["StreamService"], methods)

    def _fail(self, call: rpc.Call) -> Response:
        """Fail, with the metadata that the client names."""
        told = dict(json.loads(call.message(pb.PublishRequest).json))
        raise rpc.CallError(rpc.Code.NOT_FOUND, "It is not here. Look elsewhere.", told)

    def _count(self, call: rpc.Call) -> Response:
        """Count events. One that names metadata sets those of a failure; a number takes these seconds; null is the failure."""
        told: dict[str, Any] = {}
        counted = pb.PublishStreamResponse()

        def take(event: pb.PublishRequest) -> None:
            value = json.loads(event.json)
            if isinstance(value, dict):
                told.update(value)
            elif value is None:
                raise rpc.CallError(rpc.Code.NOT_FOUND, "It is not here. Look elsewhere.")
            else:
                gevent.sleep(value)
            counted.events += 1

        return rpc.received(
            call, pb.PublishRequest, take, lambda: counted, lambda: {"counted": str(counted.events)} | told
        )

    def _tell(self, call: rpc.Call) -> Response:
        """Send one message, and wait; for ever, unless the client names the seconds to replay."""
        seconds = call.message(pb.SubscribeRequest).replay

        def messages() -> Iterator[pb.SubscribeResponse]:
            yield pb.SubscribeResponse(connected=pb.Connected(id="first"))
            Flag().wait(seconds or None)
            yield pb.SubscribeResponse(connected=pb.Connected(id="last"))

        return rpc.streamed(call, messages())

    def _echo(self, call: rpc.Call) -> Response:
        """Reply to each command after the seconds that it names in its id."""
        with rpc.duplex(call) as talk:

            def answer(asked: pb.ConnectRequest) -> None:
                gevent.sleep(float(asked.id))
                talk.send(pb.ConnectResponse(reply=pb.Reply(id=asked.id)))

            talk.serve(pb.ConnectRequest, answer)
        return Response()


blueprint = Blueprint("own_calls", __name__)
OwnCalls().register(blueprint)
app.register_blueprint(blueprint)


@app.post("/headers")
def headers() -> Response:
    """Answer with the headers that the client sends as JSON."""
    return Response("body", headers=request.get_json(force=True))


@app.post("/trailers")
def trailers() -> Response:
    """Answer with such trailers."""
    request.environ["gunicorn.http2.send_trailers"](request.get_json(force=True).items())
    return Response("body")
