"""``/v1``: OpenAI's protocol for chat completions. Each answer goes on without its client, and can be resumed. And the
page that shows them."""

from __future__ import annotations

import json

from flask import Blueprint, Response

from ...extensions import simulcast
from ...web.answers import as_json
from ...web.api import Api
from ...web.pages import page as as_page
from ...web.route import EVENT_STREAM, RESUME_HEADER
from . import access, limits, schemas, service, sources, wire
from .questions import QUESTION, Question

api = Api("completions", __name__, {"id": schemas.Id})
page = Blueprint("completions_page", __name__)


@page.get("/completions")
def index() -> Response:
    """Return the page that asks, and shows the answers as they come."""
    return as_page("completions.html")


@api.blueprint.after_request
def in_openai_form(response: Response) -> Response:
    """Add to each error what OpenAI's have."""
    if response.status_code >= 400 and response.is_json:
        error = json.loads(response.get_data())["error"]
        response.set_data(json.dumps({"error": wire.error_of(response.status_code, error["code"], error["message"])}))
    return response


@api.get("/models", needs=access.ASK, answers={200: schemas.Models}, errors=(502, 504))
def models() -> schemas.Models:
    """List the models that answer here."""
    return schemas.Models(sources.here().models())


@api.post(
    "/chat/completions",
    needs=access.ASK,
    body=QUESTION,
    answers={200: {"application/json": schemas.Completion, EVENT_STREAM: str}},
    errors=(404, 409, 429, 502, 503, 504),
)
def ask(body: Question) -> Response:
    """Ask, and get the answer: whole, or with `stream` as OpenAI's chunks.

    The answer goes on when the client leaves, unless it asked for `cancel_on_disconnect`. Its id is in the header
    `X-Completion-Id` and in each chunk.
    """
    grant = simulcast.grant()
    with service.asking(body, grant) as answer:
        response = service.stream(answer, grant) if body.is_streamed else as_json(service.whole(answer, grant))
    response.headers.update({service.ID_HEADER: answer.id, **limits.here().headers(answer.sender)})
    return response


@api.get("/chat/completions/<id>", needs=access.READ, answers={200: schemas.Completion}, errors=(503,))
def read(id: str) -> schemas.Completion:
    """Read an answer as far as it has come. It is kept for an hour after its end."""
    return service.result(id, simulcast.grant())


@api.get(
    "/chat/completions/<id>/stream",
    needs=access.WATCH,
    headers=RESUME_HEADER,
    answers={200: {EVENT_STREAM: str}, 204: None},
    errors=(429, 503),
)
def stream(id: str) -> Response:
    """Stream an answer: from its beginning, or after `Last-Event-ID`."""
    return service.follow(id, simulcast.grant())


@api.delete("/chat/completions/<id>", needs=access.READ, answers={200: schemas.Cancelled}, errors=(503,))
def cancel(id: str) -> schemas.Cancelled:
    """Cancel an answer. What came before stays readable."""
    return schemas.Cancelled(id, simulcast.cancel_run(id))
