"""The plain ways to pass on the stream of a model: a generator of Flask, and FastAPI's StreamingResponse. What breaks is lost."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import urllib3
from flask import Flask, Response, request

URL = os.environ.get("MODEL_URL", "") + "/chat/completions"
TYPE = "text/event-stream"

app = Flask(__name__)


@app.post("/v1/chat/completions")
def ask() -> Response:
    """Pass on what the model's server sends, as it comes."""
    headers = {"Content-Type": "application/json"}
    answer = urllib3.request(
        "POST", URL, body=request.get_data(), headers=headers, preload_content=False, retries=False
    )

    def pieces() -> Iterator[bytes]:
        with answer:
            while piece := answer.read1(1 << 16):
                yield piece

    return Response(pieces(), mimetype=TYPE)


def fastapi() -> object:
    """Make the app of FastAPI, for ``uvicorn --factory``."""
    import httpx
    from fastapi import FastAPI, Request
    from fastapi.responses import StreamingResponse

    app = FastAPI()
    client = httpx.AsyncClient(timeout=None, limits=httpx.Limits(max_connections=None), trust_env=False)

    async def ask(request: Request) -> StreamingResponse:
        body = await request.body()

        async def pieces() -> AsyncIterator[bytes]:
            async with client.stream("POST", URL, content=body) as answer:
                async for piece in answer.aiter_raw():
                    yield piece

        return StreamingResponse(pieces(), media_type=TYPE)

    ask.__annotations__["request"] = Request
    app.post("/v1/chat/completions", response_model=None)(ask)
    return app
