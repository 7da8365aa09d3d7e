"""The inspected service, whose streams are wrapped by what forgets ``close()``, in the way that the query's ``kind`` names."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gevent
import gevent.queue
from flask import Response, jsonify, request

from app.extensions import simulcast
from tests.apps.inspected import app

Chunks = Iterable[bytes]
_kept: list[object] = []


def generator(chunks: Chunks) -> Iterator[bytes]:
    """As most do it."""
    for chunk in chunks:  # noqa: UP028 - `yield from` would pass close() on
        yield chunk


def compressor(chunks: Chunks) -> Iterator[bytes]:
    """Holds all back until the end: what Flask-Compress does with zstd."""
    compressing = zlib.compressobj()
    for chunk in chunks:
        if data := compressing.compress(chunk):
            yield data
    yield compressing.flush()


def comments(chunks: Chunks) -> Iterator[bytes]:
    """Adds bytes of its own."""
    for chunk in chunks:
        yield chunk + b": seen\n\n"


def first_chunk(chunks: Chunks) -> Iterator[bytes]:
    """Has had enough."""
    for chunk in chunks:
        yield chunk
        return


def keeper(chunks: Chunks) -> Iterator[bytes]:
    """Keeps it for ever, and never asks for the second chunk."""
    _kept.append(chunks)
    yield next(iter(chunks))
    gevent.sleep(2)  # by then its client has left


def reader_beside(chunks: Chunks) -> Iterator[bytes]:
    """Reads ahead, in a greenlet of its own."""
    queue: gevent.queue.Queue[bytes] = gevent.queue.Queue()

    def read() -> None:
        for chunk in chunks:
            queue.put(chunk)
        queue.put(b"")

    gevent.spawn(read)
    yield from iter(queue.get, b"")


def another_body(chunks: Chunks) -> Iterator[bytes]:
    """Never asks at all."""
    _kept.append(chunks)
    yield b"something else"


KINDS: dict[str, Callable[[Chunks], Iterator[bytes]]] = {
    each.__name__: each for each in (generator, compressor, comments, first_chunk, keeper, reader_beside, another_body)
}


class Middleware:
    """Around the whole app, and around ``start_response``; it does not know what the stream is."""

    def __init__(self, inside: Callable[..., Chunks]) -> None:
        self._inside = inside

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Chunks:
        def start(*head: Any) -> Any:
            return start_response(*head)

        chunks = self._inside(environ, start)
        return generator(chunks) if environ["QUERY_STRING"] == "kind=middleware" else chunks


@app.get("/sse")
def sse() -> Response:
    """A stream with a member."""
    return simulcast.sse("a", member="m", present=True)


@app.get("/lines")
def lines() -> Response:
    """The same as NDJSON."""
    return simulcast.ndjson("a", member="m", present=True)


@app.get("/members")
def members() -> Response:
    """Who is present."""
    return jsonify([member.member for member in simulcast.members("a")])


@app.after_request
def wrap(response: Response) -> Response:
    """As the query says."""
    kind = KINDS.get(request.args.get("kind", ""))
    if kind is not None:
        response.response = kind(response.response)  # type: ignore[arg-type]
    return response


app.wsgi_app = Middleware(app.wsgi_app)  # type: ignore[method-assign]

__all__ = ["app"]
