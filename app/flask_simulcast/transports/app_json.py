"""How an app writes what JSON has no form for: dates, decimals, UUIDs, dataclasses, and what the app has added."""

from __future__ import annotations

import json
from functools import lru_cache

from flask import Flask
from flask.json.provider import DefaultJSONProvider, JSONProvider

from ..event import Default


def default_of(app: Flask | None = None) -> Default:
    """The function that ``app.json`` asks; for a provider that has none, what it writes. Flask's own without an app."""
    if app is None:
        return DefaultJSONProvider.default
    default: Default | None = getattr(app.json, "default", None)
    return _written_by(app.json) if default is None else default


@lru_cache(maxsize=8)  # one function for each provider, as encoders are kept by it
def _written_by(provider: JSONProvider) -> Default:
    def default(value: object) -> object:
        try:
            return json.loads(provider.dumps(value))
        except TypeError:
            return DefaultJSONProvider.default(value)

    return default
