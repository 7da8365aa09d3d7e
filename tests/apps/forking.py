"""The inspected service, which forks a child in the middle of its streams."""

from __future__ import annotations

import os
import signal

from flask import Response, jsonify
from gevent import monkey

from app.flask_simulcast.transports.stream import Stream
from tests.apps.inspected import app
from tests.tools.living import living


@app.get("/fork")
def fork() -> Response:
    """A child that finalizes the streams which it has of its parent, and waits until it is killed."""
    done, told = os.pipe()
    child = monkey.get_original("os", "fork")()
    if child == 0:
        for stream in living(Stream):
            stream.__del__()
            if stream._watch is not None:
                stream._watch.stop()
        os.write(told, b"x")
        while True:
            signal.pause()
    os.read(done, 1)
    os.close(done)
    os.close(told)
    return jsonify(child=child)


__all__ = ["app"]
