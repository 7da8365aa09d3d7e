"""``/conversations``: list, read, follow and remove them. A prompt goes to ``/v1/chat/completions``."""

from __future__ import annotations

import msgspec
from flask import Response

from ....extensions import simulcast
from ....web.api import Api
from ....web.route import RESUME_HEADER, STREAMS
from . import access, schemas, service

api = Api("conversations", __name__, {"id": schemas.Id})


@api.get("", needs=access.LIST, query=schemas.ListQuery, answers={200: schemas.Conversations}, errors=(503,))
def every(query: schemas.ListQuery) -> schemas.Conversations:
    """List the conversations of the token's user, the last one spoken in first."""
    return service.every(simulcast.grant(), query.limit)


@api.get("/<id>", needs=access.READ, answers={200: schemas.Conversation}, errors=(503,))
def read(id: str) -> schemas.Conversation:
    """Read a conversation: what was said, and the answer that is being made as far as it has come."""
    return service.read(access.find(id, simulcast.grant()))


@api.get(
    "/<id>/stream",
    needs=access.LISTEN,
    query=schemas.StreamQuery,
    headers=RESUME_HEADER,
    answers=STREAMS,
    errors=(429, 503),
)
def stream(id: str, query: schemas.StreamQuery) -> Response:
    """Stream what is said, by each device of the user; docs/completions.md describes the events.

    The first event is `conversation`, as `GET` answers it. A client that resumes gets what it missed instead.
    """
    grant = simulcast.grant()
    row = access.find(id, grant)
    return simulcast.stream(
        service.channel_of(row),
        grant=grant,
        snapshot=lambda: msgspec.to_builtins(service.read(row)),
        snapshot_type="conversation",
    )


@api.delete("/<id>", needs=access.READ, answers={204: None}, errors=(503,))
def remove(id: str) -> None:
    """Remove a conversation with all that was said. Its answers are cancelled."""
    service.remove(access.find(id, simulcast.grant()))
