"""Print the JSON Schema of the protocol, which stands in docs/websocket-hub.schema.json."""

from __future__ import annotations

import json

from .schema import build

print(json.dumps(build(), indent=1, ensure_ascii=False, sort_keys=True))
