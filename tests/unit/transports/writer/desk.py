"""An app with a writer and its client, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response

from app.flask_simulcast.errors import SimulcastError
from app.flask_simulcast.metrics import Metrics
from app.flask_simulcast.settings import Settings
from app.flask_simulcast.transports.writer.writer import Writer, keep_start_response


@dataclass
class Answer:
    """The answer that a WSGI server would get."""

    status: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    writes: list[bytes] = field(default_factory=list)
    body: bytes = b""

    @property
    def data(self) -> bytes:
        return b"".join(self.writes) + self.body


class Desk:
    """One app with one view, asked without a server in between."""

    def __init__(self, view: Callable[[Desk], Any], *, has_gate: bool = True) -> None:
        self.metrics = Metrics()
        self.app = Flask("desk")
        self.app.add_url_rule("/", view_func=lambda: view(self), endpoint="view", methods=["GET", "POST"])
        self.app.register_error_handler(SimulcastError, lambda error: (error.code, error.status))
        if has_gate:
            self.app.wsgi_app = keep_start_response(self.app.wsgi_app)  # type: ignore[method-assign]

    def writer(self, headers: dict[str, str] | None = None) -> Writer:
        return Writer.of_request(Settings(broker_url="memory://"), self.metrics, headers)

    def ask(self, method: str = "GET", send: Callable[[bytes], object] | None = None, **environ: str) -> Answer:
        """Run one request, as a server does. `send` is called with each write, before it counts as written."""
        answer = Answer()

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Any:
            assert not answer.status, "a server starts one response"
            answer.status, answer.headers = status, {name.lower(): value for name, value in headers}

            def write(data: bytes) -> None:
                if send is not None:
                    send(data)
                answer.writes.append(data)

            return write

        with self.app.test_request_context("/", method=method, headers={}) as context:
            asked = dict(context.request.environ) | environ
        body = self.app.wsgi_app(asked, start_response)
        try:
            answer.body = b"".join(body)
        finally:
            if hasattr(body, "close"):
                body.close()
        return answer


def written(act: Callable[[Writer], object]) -> list[bytes]:
    """Return the writes of a view that runs this function."""

    def view(desk: Desk) -> Response:
        with desk.writer() as stream:
            act(stream)
        return stream.response

    return Desk(view).ask().writes
