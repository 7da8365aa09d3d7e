"""``/wukongs`` and the page that shows them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
from flask import Blueprint, Response, jsonify, request

from ...extensions import simulcast
from ...flask_simulcast import client_input
from ...identity.sender import current_sender
from ...web import body as bodies
from ...web.api import Api
from ...web.body import JSON, Body
from ...web.errors import ApiError
from ...web.pages import page as as_page
from ...web.route import RESUME_HEADER, STREAMS
from . import access, commands, schemas, service

api = Api("wukongs", __name__, {"name": schemas.Name})
page = Blueprint("wukongs_page", __name__)


def _report(text: bytes) -> dict[str, Any]:
    data = bodies.parse_json(text)
    if not isinstance(data, dict):
        raise ApiError(400, "not_an_object", 'A status is a JSON object. Send for example {"cpu_percent": 12.5}.')
    return data


REPORT = Body(content={JSON: schemas.Report}, most_bytes=lambda: 2 * simulcast.settings.max_event_bytes, parse=_report)
COMMAND = replace(
    bodies.of_struct(
        schemas.CommandRequest,
        most_bytes=64 << 10,
        code="invalid_command",
        hint='Send for example {"command": "processes", "args": {"limit": 5}}.',
    ),
    content={JSON: schemas.KnownCommand},
)


@page.get("/wukongs")
def index() -> Response:
    """Return the page with the list of wukongs and the live status of one."""
    return as_page("wukongs.html")


@api.get("", needs=access.LIST, answers={200: schemas.Wukongs}, errors=(503,))
def every() -> Response:
    """List all wukongs, as streaming JSON."""
    return simulcast.json_rows("wukongs", service.every())


@api.get("/<name>", needs=access.READ, answers={200: schemas.Status}, errors=(503,))
def one(name: str) -> dict[str, Any]:
    """Return the current status of a wukong."""
    return service.find_or_refuse(name)


@api.put(
    "/<name>/status",
    needs=access.REPORT,
    query=schemas.ReportQuery,
    body=REPORT,
    publishes=1,
    answers={200: schemas.Status},
    errors=(409,),
)
def report(name: str, query: schemas.ReportQuery, body: dict[str, Any]) -> dict[str, Any]:
    """Report the status of a wukong: any JSON object."""
    return service.report(name, body, query.interval)


@api.delete("/<name>", needs=access.REPORT, publishes=1, answers={204: None}, errors=(409,))
def remove(name: str) -> None:
    """Remove a wukong with an agent. Its listeners get a last status, `removed`. Its agent's next report adds it again."""
    if not service.remove(name):
        raise service.no_such(name)


@api.get("/<name>/stream", needs=access.WATCH, headers=RESUME_HEADER, answers=STREAMS, errors=(429, 503))
def stream(name: str) -> Response:
    """Stream the status of a wukong: ``status`` at once, then each second or on change."""
    service.find_or_refuse(name)
    return simulcast.stream(
        service.channel_of(name), view=service.own, snapshot=lambda: service.find(name), snapshot_type=service.STATUS
    )


@api.post(
    "/<name>/commands",
    needs=access.COMMAND,
    query=schemas.CommandQuery,
    headers={
        "Idempotency-Key": "A command with the same key within 300 s is carried out once; a different command with that key gets 409."
    },
    body=COMMAND,
    publishes=1,
    answers={200: schemas.Answer, 202: schemas.SentCommand},
    errors=(409, 504),
)
def command(name: str, query: schemas.CommandQuery, body: schemas.CommandRequest) -> Any:
    """Send a wukong a command of a small fixed set, which is carried out once. 200 with its answer, or 202 without waiting.

    504 if no answer came in time; the command may still be carried out.
    """
    sender, key = current_sender(), request.headers.get("Idempotency-Key") or None
    if not query.wait:
        sent = commands.publish(name, body.command, body.args, sender=sender, key=key)
        return schemas.SentCommand(sent.id)
    with simulcast.client_gone() as gone, client_input():
        answer = commands.send(name, body.command, body.args, query.wait, sender=sender, gone=gone, key=key)
    return jsonify(
        msgspec.to_builtins(answer)
    )  # a process may have a name that is not Unicode, which msgspec does not write


@api.get("/<name>/commands", needs=access.OBEY, headers=RESUME_HEADER, answers=STREAMS, errors=(409, 429, 503))
def listen_for_commands(name: str) -> Response:
    """Stream the commands to a wukong's agent, from now on or from where it was. Its answers go to `wukong-replies.<name>`.

    The body does not end by itself; docs/wire.md describes it.
    """
    # Without the channel's default replay: an agent must not carry out yesterday's commands.
    return simulcast.stream(commands.channel_of(name), member=commands.MEMBER, present=True, replay=0)
