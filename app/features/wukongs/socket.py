"""``/ws/wukong/<name>``: a console."""

from __future__ import annotations

from flask import Blueprint, current_app

from ...extensions import simulcast, sock
from ...flask_simulcast import NDJSON, Connection
from ...identity import requests as auth
from ...web import conversation as sockets
from ...web.openapi.operation import Access, Operation, describes
from . import schemas, service
from .console import KINDS, Console

blueprint = Blueprint("wukongs_socket", __name__)

# Each may read the log.
_LIMITS = {"messages_per_second": 10}


def _before(name: str) -> None:
    if not service.is_name(name):
        raise service.no_such(name)
    grant = auth.require_subscribe([service.channel_of(name)])
    if service.find(name) is None:
        raise service.no_such(name)
    simulcast.check_capacity(grant)


@sock.route("/ws/wukong/<name>", blueprint, before=_before, text_only=True, limits=_LIMITS)
@describes(
    Operation(
        answers=sockets.OPENED,
        access=Access.LISTEN,
        needs="`subscribe` on `wukong:<name>`, and to command it what `POST …/commands` needs",
        path={"name": schemas.Name},
        errors=sockets.REFUSED,
    )
)
def console(ws: Connection, name: str) -> None:
    """The console of a wukong, by WebSocket: JSON text, in both directions; docs/wukongs.md describes it.

    First `connected` and `status`; then a `status` each second or on change, and answers to what is asked meanwhile.
    """
    shown = Console(current_app._get_current_object(), ws, name)  # type: ignore[attr-defined]
    try:
        # As lines, not as frames: each console shows them at a pace of its own.
        with simulcast.websocket(
            ws,
            service.channel_of(name),
            encoding=NDJSON,
            send=shown.show,
            snapshot=lambda: service.find(name),
            snapshot_type=service.STATUS,
            heartbeat_as_comment=True,
            resume=None,  # the newest status says it all
        ):
            sockets.converse(ws, KINDS, shown.answer)
    finally:
        shown.close()
