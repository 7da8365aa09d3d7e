"""``/wukongs`` and the page that shows them."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Blueprint, Response, jsonify, request

from ...extensions import simulcast
from ...flask_simulcast import client_input
from ...identity import requests as auth
from ...identity.sender import current_sender
from ...web import bodies, body, limits, query
from ...web.answers import as_json
from ...web.errors import ApiError
from ...web.openapi.operation import JSON, RESUME_HEADER, STREAMS, Access, Operation, describes
from ...web.pages import page as as_page
from . import commands, schemas, service

blueprint = Blueprint("wukongs", __name__)
page = Blueprint("page", __name__)

_command = msgspec.json.Decoder(schemas.CommandRequest)
_MAX_COMMAND_BYTES = 64 << 10


@page.get("/")
def index() -> Response:
    """The list of wukongs and the live status of one."""
    return as_page("index.html")


@blueprint.get("")
@describes(
    Operation(
        answers={200: {JSON: schemas.Wukongs}},
        access=Access.READ,
        needs="`subscribe` on `wukong:any`",
    )
)
def every() -> Response:
    """All of them, as streaming JSON."""
    auth.require_subscribe(["wukong:any"])
    return simulcast.json_rows("wukongs", service.every())


@blueprint.get("/<name>")
@describes(
    Operation(
        answers={200: {JSON: schemas.Status}},
        access=Access.READ,
        needs="`subscribe` on `wukong:<name>`",
        path={"name": schemas.Name},
        errors=(404,),
    )
)
def one(name: str) -> Response:
    """One, as it is now."""
    _require_subscribe(name)
    return jsonify(_found(name))


@blueprint.put("/<name>/status")
@describes(
    Operation(
        answers={200: {JSON: schemas.Status}},
        access=Access.GRANTED,
        needs="`publish` on `wukong:<name>`",
        path={"name": schemas.Name},
        query=schemas.ReportQuery,
        body={JSON: schemas.Report},
        errors=(409, 429, 503),
    )
)
def report(name: str) -> Response:
    """An agent says how it is: any JSON object."""
    _require_report(name)
    asked = query.read(schemas.ReportQuery)
    data = body.parse_json(bodies.read(2 * simulcast.settings.max_event_bytes))
    if not isinstance(data, dict):
        raise ApiError(400, "not_an_object", 'A status is a JSON object. Send for example {"cpu_percent": 12.5}.')
    limits.check_publish(1)
    with client_input():
        status = service.report(name, data, asked.interval)
    return jsonify(status)


@blueprint.delete("/<name>")
@describes(
    Operation(
        answers={204: None},
        access=Access.GRANTED,
        needs="`publish` on `wukong:<name>`",
        path={"name": schemas.Name},
        errors=(409, 429, 503),
    )
)
def remove(name: str) -> Response:
    """Remove one that reports. Its listeners get a last status, `removed`; one that goes on to report is there again."""
    _require_report(name)
    limits.check_publish(1)
    if not service.remove(name):
        raise service.no_such(name)
    return Response(status=204)


@blueprint.get("/<name>/stream")
@describes(
    Operation(
        answers=STREAMS,
        access=Access.LISTEN,
        needs="`subscribe` on `wukong:<name>`",
        path={"name": schemas.Name},
        headers=RESUME_HEADER,
        errors=(404, 429, 503),
    )
)
def stream(name: str) -> Response:
    """One, live: ``status`` at once, then each second or on change."""
    _require_subscribe(name)
    _found(name)
    return simulcast.stream(service.channel_of(name), snapshot=lambda: service.find(name), snapshot_type=service.STATUS)


@blueprint.post("/<name>/commands")
@describes(
    Operation(
        answers={200: {JSON: schemas.Answer}, 202: {JSON: schemas.SentCommand}},
        access=Access.GRANTED,
        needs="`publish` on `wukong-agent.<name>`",
        path={"name": schemas.Name},
        query=schemas.CommandQuery,
        headers={
            "Idempotency-Key": "A command with the same key within 300 s is carried out once; a different command with that key gets 409."
        },
        body={JSON: schemas.CommandRequest},
        errors=(409, 429, 503, 504),
    )
)
def command(name: str) -> Response:
    """Command a wukong: one of a small fixed set, carried out once. 200 with its answer, or 202 without waiting for it.

    504 if no answer came in time; it may be carried out all the same.
    """
    if not service.is_name(name):
        raise service.no_such(name)
    auth.require_publish([commands.channel_of(name)])
    wait = query.read(schemas.CommandQuery).wait
    try:
        asked = body.parse(bodies.read(_MAX_COMMAND_BYTES), _command)
    except msgspec.ValidationError as error:
        raise ApiError(
            400,
            "invalid_command",
            f'{str(error)[:200]}. Send for example {{"command": "processes", "args": {{"limit": 5}}}}.',
        ) from None
    sender, key = current_sender(), request.headers.get("Idempotency-Key") or None
    limits.check_publish(1)
    if wait:
        with simulcast.client_gone() as gone, client_input():
            answer = commands.send(name, asked.command, asked.args, wait, sender=sender, gone=gone, key=key)
        return jsonify(
            msgspec.to_builtins(answer)
        )  # a name of a process may be no Unicode, which msgspec does not write
    with client_input():
        sent = commands.publish(name, asked.command, asked.args, sender=sender, key=key)
    return as_json(schemas.SentCommand(sent.id), 202)


@blueprint.get("/<name>/commands")
@describes(
    Operation(
        answers=STREAMS,
        access=Access.GRANTED,
        needs="`subscribe` on `wukong-agent.<name>` and `publish` on `wukong:<name>`",
        path={"name": schemas.Name},
        headers=RESUME_HEADER,
        errors=(409, 429, 503),
    )
)
def listen_for_commands(name: str) -> Response:
    """For a wukong's agent: the commands that it is sent, from now on or from where it was. Answers go to `wukong-replies.<name>`.

    The body does not end by itself; docs/wire.md describes it.
    """
    _require_report(name)
    # Without the replay that a channel may have by default: nobody wants yesterday's commands carried out.
    return simulcast.stream(commands.channel_of(name), member=commands.MEMBER, present=True, replay=0)


def _require_report(name: str) -> None:
    """Whether the current request may speak for this wukong."""
    auth.require_publish([service.channel_of(name)])
    if not service.is_name(name):
        raise ApiError(400, "wukong_name", f"{name[:64]!a} is not a name. Use 1 to 64 characters of A-Z a-z 0-9 . _ -")
    if service.is_built_in(name):
        raise ApiError(409, "built_in", f"{name} is reported by this machine itself. Choose another name.")


def _require_subscribe(name: str) -> None:
    if not service.is_name(name):
        raise service.no_such(name)
    auth.require_subscribe([service.channel_of(name)])


def _found(name: str) -> dict[str, Any]:
    status = service.find(name)
    if status is None:
        raise service.no_such(name)
    return status
