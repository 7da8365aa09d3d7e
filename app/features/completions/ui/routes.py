"""``/api/v1/completions/ui``: what `useChat` of Vercel's AI SDK asks for."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import Response

from ....extensions import simulcast
from ....flask_simulcast import Grant
from ....web.api import Api
from ....web.route import EVENT_STREAM, RESUME_HEADER
from .. import access, limits, service
from . import chats, schemas, stream
from .messages import MESSAGES, ChatQuestion

api = Api("completions_ui", __name__, {"id": schemas.ChatId})


@api.post(
    "", needs=access.ASK, body=MESSAGES, answers={200: {EVENT_STREAM: str}}, errors=(404, 409, 429, 502, 503, 504)
)
def ask(body: ChatQuestion) -> Response:
    """Ask, and get the answer as a UI message stream. The id of its message is that of the completion.

    The answer goes on when the client leaves, unless it asked for `cancel_on_disconnect`.
    """
    grant = simulcast.grant()
    with service.asking(body.question, grant) as answer:
        if body.chat:
            chats.note(body.chat, answer.id, grant)
        response = service.stream(answer, grant, **_options(answer.id, grant))
    return _headed(response, **limits.here().headers(answer.sender))


@api.get(
    "/<path:id>/stream",
    needs=access.RESUME,
    headers=RESUME_HEADER,
    answers={200: {EVENT_STREAM: str}, 204: None},
    errors=(429, 503),
)
def resume(id: str) -> Response | None:
    """Stream the answer that is being made for a chat, from its beginning; 204 if there is none."""
    grant = simulcast.grant()
    state = chats.running(id, grant)
    return None if state is None else _headed(service.follow(state.id, grant, **_options(state.id, grant)))


def _options(id: str, grant: Grant) -> dict[str, Any]:
    return {
        "encoding": stream.UI,
        "snapshot": partial(stream.opening, id),
        "snapshot_type": stream.OPENING,
        "start": access.find(id, grant).begin,
    }


def _headed(response: Response, **more: str) -> Response:
    response.headers.update({**stream.HEADERS, **more})
    return response
