"""The document: AsyncAPI 3.0, from the types that read and write the messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from inspect import getdoc
from typing import Any, get_args

import msgspec

from ....web.body import JSON
from ....web.conversation import Error, Reply
from ....web.openapi.document import security_schemes
from ..schemas import StreamQuery
from ..ws import schema
from ..ws.commands import AnyCommand
from ..ws.messages import AnyMessage
from .notices import NOTICES

_REF = "#/components/schemas/{name}"
_COMMANDS = get_args(AnyCommand)
_MESSAGES = get_args(AnyMessage)
_ANSWERS = (Reply, Error)
# AsyncAPI has other names than OpenAPI for the same kinds of security.
_KINDS = {"apiKey": "httpApiKey", "http": "http"}

Json = dict[str, Any]


def build(*, version: str, cookie: str) -> Json:
    """Return the document, without the servers. Pure.

    Args:
        version: Of what is documented.
        cookie: The name of the cookie that carries a token; empty where none does.
    """
    types = [*_COMMANDS, *_MESSAGES, *NOTICES.values()]
    payloads, schemas = schema.components(types, _REF)
    payload_of = dict(zip(types, payloads, strict=True))
    schemes = {name: {**each, "type": _KINDS[each["type"]]} for name, each in security_schemes(cookie).items()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Simulcast",
            "version": version,
            "description": "The events of a stream, and the messages of the WebSocket. OpenAPI describes the routes.",
        },
        "defaultContentType": JSON,
        "channels": {"stream": _stream(payload_of), "hub": _hub(payload_of)},
        "operations": _operations([{"$ref": f"#/components/securitySchemes/{name}"} for name in schemes]),
        "components": {"schemas": schemas, "securitySchemes": schemes},
    }


def _stream(payload_of: Mapping[type, Json]) -> Json:
    event = {
        "name": "event",
        "title": "An event",
        "summary": "What was published: JSON, or the text of raw data. Its type is in `event:`, its position in `id:`.",
        "payload": {"description": "Any JSON."},
    }
    return {
        "address": "/api/v1/stream",
        "title": "A stream",
        "description": "Server-sent events: `event:` has the name of the message, `data:` its payload. docs/wire.md",
        "servers": [{"$ref": "#/servers/http"}],
        "messages": {"event": event} | {name: _message(name, type, payload_of) for name, type in NOTICES.items()},
    }


def _hub(payload_of: Mapping[type, Json]) -> Json:
    return {
        "address": "/ws",
        "title": "The hub over one WebSocket",
        "description": "JSON text in both directions. docs/websocket-hub.md",
        "servers": [{"$ref": "#/servers/ws"}],
        "messages": {_tag(type): _message(_tag(type), type, payload_of) for type in (*_COMMANDS, *_MESSAGES)},
        "bindings": {"ws": {"method": "GET", "query": _query(), "bindingVersion": "0.1.0"}},
    }


def _operations(security: list[Json]) -> Json:
    events = [type for type in _MESSAGES if type not in _ANSWERS]
    return {
        "listen": {
            "action": "send",
            **_of("stream", ["event", *NOTICES]),
            "summary": "Send the events of channels. Channels that are open to all clients need no security.",
            "security": security,
            "bindings": {"http": {"method": "GET", "query": _query(), "bindingVersion": "0.3.0"}},
        },
        "command": {
            "action": "receive",
            **_of("hub", map(_tag, _COMMANDS)),
            "summary": "Take a command. Each is answered once, with its id.",
            "reply": _of("hub", map(_tag, _ANSWERS)),
            "security": security,
        },
        "converse": {
            "action": "send",
            **_of("hub", map(_tag, events)),
            "summary": "Send the events of all subscriptions, and the end.",
            "security": security,
        },
    }


def _of(channel: str, messages: Iterable[str]) -> Json:
    return {
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
    }


def _message(name: str, type: type, payload_of: Mapping[type, Json]) -> Json:
    text = (getdoc(type) or "").replace("\n", " ")
    return {"name": name, "title": type.__name__, "summary": text, "payload": payload_of[type]}


def _query() -> Json:
    _, components = msgspec.json.schema_components([StreamQuery])
    (query,) = components.values()
    return {"type": "object", "properties": query["properties"]}


def _tag(type: Any) -> str:
    return str(type.__struct_config__.tag)
