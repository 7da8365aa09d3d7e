"""``/ws/wukong/<name>``: the console of a wukong."""

from __future__ import annotations

from flask import current_app

from ...extensions import simulcast
from ...flask_simulcast import NDJSON, Connection
from ...web.api import Api
from . import access, schemas, service
from .console import Console

api = Api("wukongs_socket", __name__, {"name": schemas.Name})

# Each message may cause a read of the log.
_LIMITS = {"messages_per_second": 10}


@api.websocket("/ws/wukong/<name>", needs=access.WATCH, before=service.find_or_refuse, limits=_LIMITS)
def console(ws: Connection, name: str) -> None:
    """Open the console of a wukong by WebSocket: JSON text in both directions; docs/wukongs.md describes it.

    First come `connected` and `status`; then a `status` each second or on change, and the answers to commands. A `command`
    needs the same right as `POST …/commands`.
    """
    shown = Console(current_app._get_current_object(), ws, name)  # type: ignore[attr-defined]
    try:
        # As lines, not as frames: each console shows them at its own rate.
        with simulcast.websocket(
            ws,
            service.channel_of(name),
            encoding=NDJSON,
            send=shown.show,
            snapshot=lambda: service.find(name),
            snapshot_type=service.STATUS,
            heartbeat_as_comment=True,
            resume=None,  # the newest status is enough
        ):
            shown.converse()
    finally:
        shown.close()
