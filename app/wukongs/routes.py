"""``/wukongs`` and the page that shows them."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, make_response, render_template

from .. import auth, body, limits
from ..errors import ApiError
from ..extensions import simulcast
from ..openapi.operation import JSON, RESUME_HEADER, STREAMS, Access, Operation, describes
from . import schemas, service

blueprint = Blueprint("wukongs", __name__)
page = Blueprint("page", __name__)

_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@page.get("/")
def index() -> Response:
    """The list of wukongs and the live status of one."""
    response = make_response(render_template("index.html"))
    response.headers.update(_PAGE_HEADERS)
    return response


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
        body={JSON: schemas.Report},
        errors=(409, 429, 503),
    )
)
def report(name: str) -> Response:
    """An agent says how it is: any JSON object."""
    auth.require_publish([service.channel_of(name)])
    if not service.is_name(name):
        raise ApiError(400, "wukong_name", f"{name[:64]!a} is not a name. Use 1 to 64 characters of A-Z a-z 0-9 . _ -")
    if service.is_built_in(name):
        raise ApiError(409, "built_in", f"{name} is reported by this machine itself. Choose another name.")
    data = body.parse_json(body.read())
    if not isinstance(data, dict):
        raise ApiError(400, "not_an_object", 'A status is a JSON object. Send for example {"cpu_percent": 12.5}.')
    limits.check_publish(1)
    return jsonify(service.report(name, data))


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


def _require_subscribe(name: str) -> None:
    if not service.is_name(name):
        raise _no_such(name)
    auth.require_subscribe([service.channel_of(name)])


def _found(name: str) -> dict[str, Any]:
    status = service.find(name)
    if status is None:
        raise _no_such(name)
    return status


def _no_such(name: str) -> ApiError:
    return ApiError(404, "no_such_wukong", f"There is no wukong {name[:64]!a}. GET /api/v1/wukongs lists them.")
