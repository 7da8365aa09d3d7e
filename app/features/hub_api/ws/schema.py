"""The JSON Schema of the protocol, from the types that read and write it.

``python -m app.features.hub_api.ws > docs/websocket-hub.schema.json`` writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import cleandoc
from typing import Any

import msgspec

from .commands import AnyCommand
from .messages import RESULTS, AnyMessage

_REF = "#/$defs/{name}"


def build() -> dict[str, Any]:
    """Return the schema: ``$defs`` has ``Command`` for the client's messages, and ``Message`` for the server's. Pure."""
    (command, message), defs = components([AnyCommand, AnyMessage], _REF)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Simulcast over WebSocket",
        "anyOf": [{"$ref": "#/$defs/Command"}, {"$ref": "#/$defs/Message"}],
        "$defs": {"Command": command, "Message": message, **defs},
    }


def components(types: Sequence[Any], ref: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the schema of each type, and what they refer to, by name. Pure.

    Args:
        types: Among them, the messages of the server.
        ref: Form of a reference, with ``{name}``.
    """
    schemas, defs = msgspec.json.schema_components([*types, *RESULTS], ref_template=ref)
    # Untagged, as in HTTP, so msgspec refuses a union of them.
    defs["Reply"]["properties"]["result"] = {"anyOf": list(schemas[len(types) :])}
    for described in defs.values():
        if "description" in described:  # Python 3.13 strips the indent of docstrings, older versions keep it
            described["description"] = cleandoc(described["description"])
    return list(schemas[: len(types)]), defs
