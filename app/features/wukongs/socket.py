"""``/ws/wukong/<name>``: the console of a wukong."""

from __future__ import annotations

from flask import current_app

from ...extensions import simulcast
from ...flask_simulcast import Connection
from ...web.api import Api
from . import access, schemas, service
from .console import MESSAGES_PER_SECOND, Console

api = Api("wukongs_socket", __name__, {"name": schemas.Name})

_LIMITS = {"messages_per_second": MESSAGES_PER_SECOND}


@api.websocket("/ws/wukong/<name>", needs=access.WATCH, before=service.find_or_refuse, limits=_LIMITS)
def console(ws: Connection, name: str) -> None:
    """Open the console of a wukong by WebSocket: JSON text in both directions; docs/wukongs.md describes it.

    First come `connected` and `status`; then a `status` each second or on change, and the answers to commands. A `command`
    needs the same right as `POST …/commands`.
    """
    shown = Console(current_app._get_current_object(), ws, name)  # type: ignore[attr-defined]
    ws.on_message, ws.on_close = shown.answer, shown.close
    simulcast.websocket(ws, service.channel_of(name), send=shown.show, **shown.options).start()
