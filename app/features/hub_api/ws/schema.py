"""The JSON Schema of the protocol, from the types that read and write it.

``python -m app.features.hub_api.ws.schema > docs/websocket-hub.schema.json`` writes it.
"""

from __future__ import annotations

import json
from inspect import cleandoc
from typing import Any

import msgspec

from .commands import AnyCommand
from .messages import RESULTS, AnyMessage

_REF = "#/$defs/{name}"


def build() -> dict[str, Any]:
    """Return the schema: ``$defs`` has ``Command`` for the client's messages, and ``Message`` for the server's. Pure."""
    (command, message, *results), defs = msgspec.json.schema_components(
        [AnyCommand, AnyMessage, *RESULTS], ref_template=_REF
    )
    # Untagged, as in HTTP, so msgspec refuses a union of them.
    defs["Reply"]["properties"]["result"] = {"anyOf": results}
    for described in defs.values():
        if "description" in described:  # Python 3.13 strips the indent of docstrings, older versions keep it
            described["description"] = cleandoc(described["description"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Simulcast over WebSocket",
        "anyOf": [{"$ref": "#/$defs/Command"}, {"$ref": "#/$defs/Message"}],
        "$defs": {"Command": command, "Message": message, **defs},
    }


if __name__ == "__main__":
    print(json.dumps(build(), indent=1, ensure_ascii=False, sort_keys=True))
