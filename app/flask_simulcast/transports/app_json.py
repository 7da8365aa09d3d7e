"""How an app writes values that JSON has no form for: dates, decimals, UUIDs, dataclasses, and types that the app added."""

from __future__ import annotations

import json
from functools import lru_cache

from flask import Flask
from flask.json.provider import DefaultJSONProvider, JSONProvider

from ..data import Default


def default_of(app: Flask | None = None) -> Default:
    """Return the function that ``app.json`` calls for such values; Flask's own without an app. For a provider that has no such
    function, return one that asks the provider to write the value."""
    if app is None:
        return DefaultJSONProvider.default
    default: Default | None = getattr(app.json, "default", None)
    return _written_by(app.json) if default is None else default


@lru_cache(maxsize=8)  # one function for each provider, as it is the key under which encoders are cached
def _written_by(provider: JSONProvider) -> Default:
    def default(value: object) -> object:
        try:
            return json.loads(provider.dumps(value))
        except TypeError:
            return DefaultJSONProvider.default(value)

    return default
